//! TLS for whoever listens and whoever connects: certificates and keys in PEM files become what
//! rustls needs. Bytes are the business of the gateway and the client.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, ConfigBuilder, ConfigSide,
    DigitallySignedStruct, Error, RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
    WantsVerifier,
};

use crate::small_file::SmallFile;
use crate::types::Nanos;

/// What is wrong with the files, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// Who somebody is, and the proof of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and the authority, in PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, in PEM.
    pub key: PathBuf,
}

impl Identity {
    fn load(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|error| {
            TlsError(format!("{}: no private key in PEM: {error}", self.key.display()))
        })?;
        Ok((certificates(&self.certificate)?, key))
    }

    fn unusable(&self, error: &Error) -> TlsError {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        TlsError(format!(
            "{certificate} with {key}: {error}; they must belong together, the server's or \
             client's own certificate first"
        ))
    }
}

/// The side that is connected to. What it reads can be read again while it is used.
#[derive(Debug)]
pub struct Acceptor {
    own: Identity,
    clients: Option<PathBuf>,
    loaded: Mutex<Loaded>,
}

/// What the files held.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
}

impl Acceptor {
    /// One that shows this identity; with `clients`, only who shows a certificate of an authority
    /// in that file gets in.
    pub fn new(own: Identity, clients: Option<PathBuf>) -> Result<Self, TlsError> {
        let loaded = Mutex::new(Self::load(&own, clients.as_deref())?);
        Ok(Self { own, clients, loaded })
    }

    fn load(own: &Identity, clients: Option<&Path>) -> Result<Loaded, TlsError> {
        let builder = safe(ServerConfig::builder_with_provider);
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = verifier
                    .build()
                    .map_err(|error| TlsError(format!("{}: {error}", path.display())))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (chain, key) = own.load()?;
        let config = builder.with_single_cert(chain.clone(), key);
        Ok(Loaded { config: Arc::new(config.map_err(|error| own.unusable(&error))?), chain })
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which certificates the other side will not believe at this time, because of their dates:
    /// they are shown nevertheless, since a machine's clock may be what is wrong.
    pub fn out_of_date(&self, now: Nanos) -> Vec<String> {
        let now = UnixTime::since_unix_epoch(Duration::from_nanos(now.0));
        let chain = self.loaded().chain.clone();
        let (file, all) = (self.own.certificate.display(), chain.len());
        let wrong = (1..).zip(&chain).filter_map(|(number, certificate)| {
            let why = wrong_dates(certificate, now)?;
            Some(format!(
                "WARNING: {file}: certificate {number} of {all} {why}: clients that look at dates \
                 turn away; write one that is valid there, and send SIGHUP"
            ))
        });
        wrong.collect()
    }

    /// Reads the files again: whoever connects from now on meets what is in them. Where something
    /// is wrong with them, all stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let loaded = Self::load(&self.own, self.clients.as_deref())?;
        *self.loaded() = loaded;
        Ok(())
    }

    /// This side of a new connection.
    pub fn accept(&self) -> Result<ServerConnection, Error> {
        // Held for as long as it takes to copy a pointer, once for each connection.
        let config = Arc::clone(&self.loaded().config);
        ServerConnection::new(config)
    }
}

/// Whom the side that connects believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Whoever shows a certificate for its name, of an authority in this file.
    Authorities(PathBuf),
    /// Whoever shows the first certificate of this file, whatever it says.
    Pinned(PathBuf),
}

/// The side that connects.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Connector {
    /// One that believes whom `trust` says, and shows its own identity where it has one. The
    /// server's certificate must be for `name`; without one, for the host that is connected to.
    pub fn new(
        trust: &Trust,
        own: Option<&Identity>,
        name: Option<&str>,
    ) -> Result<Self, TlsError> {
        let builder = safe(ClientConfig::builder_with_provider);
        let builder = match trust {
            Trust::Authorities(path) => builder.with_root_certificates(authorities(path)?),
            Trust::Pinned(path) => {
                let certificate = certificates(path)?.swap_remove(0);
                let pinned = Pinned { certificate, provider: provider() };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
            }
        };
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = own.load()?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| own.unusable(&error))?
            }
        };
        Ok(Self { config: Arc::new(config), name: name.map(server_name).transpose()? })
    }

    /// This side of a new connection to `HOST:PORT`.
    pub fn connect(&self, address: &str) -> Result<ClientConnection, TlsError> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(address.rsplit_once(':').map_or(address, |(host, _)| host))?,
        };
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        connection.map_err(|error| TlsError(error.to_string()))
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let parsed = ServerName::try_from(name.to_owned());
    parsed.map_err(|_| TlsError(format!("'{name}' is neither a host's name nor an IP address")))
}

/// ring is in the tree already, for S3.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn safe<S: ConfigSide>(
    builder: impl FnOnce(Arc<CryptoProvider>) -> ConfigBuilder<S, rustls::WantsVersions>,
) -> ConfigBuilder<S, WantsVerifier> {
    builder(provider()).with_safe_default_protocol_versions().expect("ring has TLS 1.2 and 1.3")
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let file = SmallFile::read(path);
    file.map(|file| file.bytes).map_err(|error| {
        TlsError(format!("cannot read {}: {error}; it is to be a file in PEM", path.display()))
    })
}

/// At least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |why: String| TlsError(format!("{}: {why}", path.display()));
    let found = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(format!("no certificates in PEM: {error}")))?;
    if found.is_empty() {
        return Err(failed(
            "there is no certificate in it: it takes BEGIN CERTIFICATE, PEM".into(),
        ));
    }
    Ok(found)
}

/// What is wrong with the dates of a certificate. Without an authority rustls believes none, but it
/// looks at the dates before it looks for one.
fn wrong_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<String> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    let (nobody, known) = (RootCertStore::empty(), provider().signature_verification_algorithms);
    let judged =
        verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], now, known.all);
    match judged {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(format!("expired at {}", date(not_after)))
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before, ..
        })) => Some(format!("is not valid before {}", date(not_before))),
        _ => None,
    }
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "a time that has no date".to_owned(), |time| time.to_string())
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            TlsError(format!("{}: no authority's certificate: {error}", path.display()))
        })?;
    }
    Ok(roots)
}

/// Believes one certificate, and that whoever shows it has its key.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
