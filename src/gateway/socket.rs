//! The bytes of a connection, as they are or inside TLS: the one place that knows which.

use std::io::{self, ErrorKind, Read, Write};

use rustls::{Error, ServerConnection};

use super::connection::End;
use crate::net::{Net, Source, Stream, is_nothing};

/// More than one read of a socket can decrypt: rustls reads a record at most.
const DECRYPTED_MAX: usize = 32 << 10;
/// A record takes so much, and a full socket keeps one of them waiting.
const RECORD_BYTES: usize = 16 << 10;
/// What a conversation in TLS begins with.
const HANDSHAKE: [u8; 2] = [0x16, 0x03];

/// A connection's socket, which never blocks.
pub(super) enum Socket<S: Stream> {
    Plain(S),
    Tls(Box<Tls<S>>),
}

/// What was decrypted never waits in here: epoll would not tell of it.
pub(super) struct Tls<S: Stream> {
    stream: S,
    session: ServerConnection,
    /// The client said that nothing more comes.
    has_ended: bool,
}

impl<S: Stream> Socket<S> {
    pub(super) fn new(stream: S, session: Option<ServerConnection>) -> Self {
        match session {
            None => Self::Plain(stream),
            Some(session) => Self::Tls(Box::new(Tls { stream, session, has_ended: false })),
        }
    }

    /// Reads what there is; 0 is nothing for now. `buffer` has the [`Self::room`] for it.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, End> {
        match self {
            Self::Plain(stream) => match stream.read(buffer) {
                Ok(0) => Err(End::Closed),
                Ok(bytes) => Ok(bytes),
                Err(error) if is_nothing(&error) => Ok(0),
                Err(error) => Err(End::Failed(error)),
            },
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// What [`Self::read`] needs for so many bytes, or a few more.
    pub(super) fn room(&self, bytes: usize) -> usize {
        match self {
            Self::Plain(_) => bytes,
            Self::Tls(_) => room(bytes),
        }
    }

    /// Why it is broken.
    pub(super) fn failure(&self) -> io::Error {
        self.stream().failure().unwrap_or_else(|| ErrorKind::ConnectionReset.into())
    }

    /// What is watched.
    pub(super) fn watched<N: Net<Stream = S>>(&self) -> Source<'_, N> {
        Source::Stream(self.stream())
    }

    fn stream(&self) -> &S {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &tls.stream,
        }
    }

    /// Takes as much as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, End> {
        match self {
            Self::Plain(stream) => taken(stream.write(bytes)),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Sends what was taken; whether all of it is gone.
    pub(super) fn send(&mut self) -> Result<bool, End> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.send(),
        }
    }

    /// Whether something was taken and is not sent.
    pub(super) fn holds_some(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.session.wants_write(),
        }
    }

    /// Whether the two sides do not know each other yet: what is read is work then.
    pub(super) fn is_shaking_hands(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.session.is_handshaking(),
        }
    }

    /// Whether the client said that nothing more comes, though its socket is open.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.has_ended,
        }
    }

    /// Says that nothing more comes, and goes on listening; whether that is all said.
    pub(super) fn finish(&mut self) -> Result<bool, End> {
        if let Self::Tls(tls) = self
            && !tls.close()?
        {
            return Ok(false);
        }
        self.stream().finish().map_err(End::Failed)?;
        Ok(true)
    }

    /// Says that nothing more comes, where there is room to say it.
    pub(super) fn say_good_bye(&mut self) {
        if let Self::Tls(tls) = self {
            let _ = tls.close();
        }
    }
}

impl<S: Stream> Tls<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, End> {
        let mut filled = 0;
        while buffer.len() - filled >= DECRYPTED_MAX {
            match self.session.read_tls(&mut self.stream) {
                Ok(0) if filled == 0 => return Err(End::Closed),
                // What came before the end counts, and the end is found again.
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_nothing(&error) || filled > 0 => break,
                Err(error) => return Err(End::Failed(error)),
            }
            let was_shaking_hands = self.session.is_handshaking();
            match self.session.process_new_packets() {
                Ok(state) => self.has_ended = state.peer_has_closed(),
                Err(error) => {
                    // It is told why.
                    let _ = self.send();
                    return Err(ended_by(error, was_shaking_hands));
                }
            }
            while filled < buffer.len()
                && let Ok(bytes @ 1..) = self.session.reader().read(&mut buffer[filled..])
            {
                filled += bytes;
            }
        }
        Ok(filled)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, End> {
        let mut written = 0;
        // Only what can leave is encrypted, so that no more than a record waits.
        while self.send()? && !self.session.is_handshaking() && written < bytes.len() {
            let record = &bytes[written..bytes.len().min(written + RECORD_BYTES)];
            written += self.session.writer().write(record).map_err(End::Failed)?;
        }
        Ok(written)
    }

    /// Says that nothing more comes; whether all is sent.
    fn close(&mut self) -> Result<bool, End> {
        self.session.send_close_notify();
        self.send()
    }

    fn send(&mut self) -> Result<bool, End> {
        while self.session.wants_write() {
            if taken(self.session.write_tls(&mut self.stream))? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn ended_by(error: Error, was_shaking_hands: bool) -> End {
    match error {
        Error::InvalidMessage(_) if was_shaking_hands => End::NoTls,
        error if was_shaking_hands => End::Handshake(error.to_string()),
        error => End::Failed(io::Error::new(ErrorKind::InvalidData, error)),
    }
}

/// What a read of so many bytes needs with TLS, which decrypts while there is room for a record.
pub(super) fn room(bytes: usize) -> usize {
    bytes + DECRYPTED_MAX - 1
}

/// Whether a client that begins like this wants TLS.
pub(super) fn begins_tls(bytes: &[u8]) -> bool {
    bytes.starts_with(&HANDSHAKE)
}

fn taken(written: io::Result<usize>) -> Result<usize, End> {
    match written {
        Ok(bytes) => Ok(bytes),
        Err(error) if is_nothing(&error) => Ok(0),
        Err(error) => Err(End::Failed(error)),
    }
}
