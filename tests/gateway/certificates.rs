//! Authorities of a test, and whom they vouch for.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use ringframe::tls::{Connector, Identity, Trust};

/// An authority, with its files in a directory.
pub(crate) struct Authority {
    directory: PathBuf,
    name: &'static str,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(directory: &Path, name: &'static str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { directory: directory.to_owned(), name, issuer };
        fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join(format!("{}.pem", self.name))
    }

    /// A certificate for someone on this machine.
    pub(crate) fn vouch(&self, name: &str) -> Identity {
        self.vouch_within(name, 1975..4096)
    }

    /// The same, from the first day of a year to that of another.
    pub(crate) fn vouch_within(&self, name: &str, years: Range<i32>) -> Identity {
        self.write(name, "127.0.0.1", years)
    }

    /// A certificate for whoever has this address.
    pub(crate) fn vouch_at(&self, name: &str, address: &str) -> Identity {
        self.write(name, address, 1975..4096)
    }

    fn write(&self, name: &str, address: &str, years: Range<i32>) -> Identity {
        let names = [address.to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |what: &str| self.directory.join(format!("{name}-of-{}.{what}", self.name));
        let identity = Identity { certificate: file("pem"), key: file("key") };
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    /// A client's side that trusts it.
    pub(crate) fn trusted(&self) -> Connector {
        Connector::new(&Trust::Authorities(self.file()), None, None).unwrap()
    }

    /// The same, for a client that shows who it is.
    pub(crate) fn trusted_by(&self, own: &Identity) -> Connector {
        Connector::new(&Trust::Authorities(self.file()), Some(own), None).unwrap()
    }
}

/// The settings of a server that shows this.
pub(crate) fn settings(server: &Identity) -> Vec<String> {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let certificate = ["--tls-certificate".to_owned(), path(&server.certificate)];
    let key = ["--tls-key".to_owned(), path(&server.key)];
    [certificate, key].concat()
}
