//! `SoupBinTCP` 3.00: a byte stream cut into packets of a length, a type and a payload.
//!
//! [`FromClient`] and [`FromServer`] are all that either side may say. Reading is incremental: the
//! start of a packet is no error but [`None`], and a packet is never looked at beyond its end. A
//! length that is zero or above what the reader bears is an error as soon as both of its bytes are
//! there, so that nobody waits, or keeps room, for what will be refused.

use crate::layout::{Alpha, trim};

/// Before the payload: a length of two bytes, which counts the type and the payload, and the type.
pub const HEADER_BYTES: usize = 3;
/// The longest packet that the length has words for, itself included.
pub const PACKET_BYTES_MAX: usize = LENGTH_BYTES + u16::MAX as usize;
const LENGTH_BYTES: usize = 2;

/// A user's name.
pub type Username = Alpha<6>;
/// A password.
pub type Password = Alpha<10>;
/// The name of a session.
pub type Session = Alpha<10>;

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromClient<'a> {
    /// `+`: text to ignore.
    Debug(&'a [u8]),
    /// `L`: first of all.
    Login(LoginRequest),
    /// `U`: one message of the protocol inside.
    Data(&'a [u8]),
    /// `R`: still here.
    Heartbeat,
    /// `O`: goes.
    Logout,
}

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromServer<'a> {
    /// `+`: text to ignore.
    Debug(&'a [u8]),
    /// `A`: the login is good.
    Accepted(LoginAccepted),
    /// `J`: it is not, for this reason.
    Rejected(LoginReject),
    /// `S`: the next numbered message of the protocol inside.
    Data(&'a [u8]),
    /// `H`: still here.
    Heartbeat,
    /// `Z`: the session is over for good.
    End,
}

/// Who wants in, and from where on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LoginRequest {
    /// Who; case does not matter.
    pub username: Username,
    /// The proof; case does not matter.
    pub password: Password,
    /// Which session; blank for the current one.
    pub session: Session,
    /// The number of the first message wanted; 0 for only what is new.
    pub sequence: u64,
    /// When the client wants to be given up, in milliseconds: version 4.10.
    pub timeout: Option<u32>,
}

/// A password is for nobody's log.
impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest")
            .field("username", &self.username)
            .field("session", &self.session)
            .field("sequence", &self.sequence)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginAccepted {
    /// Which session.
    pub session: Session,
    /// The number of the next [`FromServer::Data`].
    pub sequence: u64,
}

/// Why a client gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginReject {
    /// `A`: wrong user or password.
    NotAuthorized,
    /// `S`: no such session, or it lacks what the client has seen.
    SessionNotAvailable,
}

/// Why a byte stream is no stream of packets: the connection is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A length of zero.
    NoType,
    /// A length that the reader does not bear.
    TooLong {
        /// The packet's bytes, the length included.
        bytes: usize,
        /// The most that the reader bears.
        bytes_max: usize,
    },
    /// A type that this side may not say.
    UnknownType(u8),
    /// A payload that is not as long as its type's.
    Length {
        /// The packet's type.
        kind: u8,
        /// How long the payload is.
        bytes: usize,
    },
    /// A field that is no text, number or code.
    Field(&'static str),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoType => write!(f, "a packet of length 0, which has no type"),
            Self::TooLong { bytes, bytes_max } => {
                write!(f, "a packet of {bytes} bytes, at most {bytes_max} are taken")
            }
            Self::UnknownType(kind) => {
                write!(f, "no packet has type '{}' in this direction", kind.escape_ascii())
            }
            Self::Length { kind, bytes } => {
                let kind = kind.escape_ascii();
                write!(f, "a packet of type '{kind}' never has a payload of {bytes} bytes")
            }
            Self::Field(name) => write!(f, "the {name} of a login is not as it must be"),
        }
    }
}

impl std::error::Error for Broken {}

impl<'a> FromClient<'a> {
    /// The packet at the start of `bytes` and how many of them it takes; `None` when there are not
    /// enough yet.
    #[inline]
    pub fn split(bytes: &'a [u8], bytes_max: usize) -> Result<Option<(Self, usize)>, Broken> {
        let Some((kind, payload)) = packet(bytes, bytes_max)? else { return Ok(None) };
        let said = match kind {
            b'U' => Self::Data(payload),
            b'R' => empty(kind, payload, Self::Heartbeat)?,
            b'L' => Self::Login(LoginRequest::read(payload)?),
            b'O' => empty(kind, payload, Self::Logout)?,
            b'+' => Self::Debug(payload),
            _ => return Err(Broken::UnknownType(kind)),
        };
        Ok(Some((said, HEADER_BYTES + payload.len())))
    }

    /// Writes the packet at the start of `into` and says how long it is; `None` when it has no room
    /// there, or in any packet.
    #[inline]
    pub fn encode(&self, into: &mut [u8]) -> Option<usize> {
        match self {
            Self::Debug(text) => write(b'+', text, into),
            Self::Login(login) => login.write(into),
            Self::Data(message) => write(b'U', message, into),
            Self::Heartbeat => write(b'R', &[], into),
            Self::Logout => write(b'O', &[], into),
        }
    }
}

impl<'a> FromServer<'a> {
    /// As [`FromClient::split`].
    #[inline]
    pub fn split(bytes: &'a [u8], bytes_max: usize) -> Result<Option<(Self, usize)>, Broken> {
        let Some((kind, payload)) = packet(bytes, bytes_max)? else { return Ok(None) };
        let said = match kind {
            b'S' => Self::Data(payload),
            b'H' => empty(kind, payload, Self::Heartbeat)?,
            b'A' => Self::Accepted(LoginAccepted::read(payload)?),
            b'J' => Self::Rejected(LoginReject::read(payload)?),
            b'Z' => empty(kind, payload, Self::End)?,
            b'+' => Self::Debug(payload),
            _ => return Err(Broken::UnknownType(kind)),
        };
        Ok(Some((said, HEADER_BYTES + payload.len())))
    }

    /// As [`FromClient::encode`].
    #[inline]
    pub fn encode(&self, into: &mut [u8]) -> Option<usize> {
        match self {
            Self::Debug(text) => write(b'+', text, into),
            Self::Accepted(accepted) => accepted.write(into),
            Self::Rejected(LoginReject::NotAuthorized) => write(b'J', b"A", into),
            Self::Rejected(LoginReject::SessionNotAvailable) => write(b'J', b"S", into),
            Self::Data(message) => write(b'S', message, into),
            Self::Heartbeat => write(b'H', &[], into),
            Self::End => write(b'Z', &[], into),
        }
    }
}

/// Type and payload of the packet at the start of `bytes`.
#[inline]
fn packet(bytes: &[u8], bytes_max: usize) -> Result<Option<(u8, &[u8])>, Broken> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    let whole = LENGTH_BYTES + length;
    if length == 0 {
        return Err(Broken::NoType);
    }
    if whole > bytes_max {
        return Err(Broken::TooLong { bytes: whole, bytes_max });
    }
    let packet = rest.get(..length).and_then(<[u8]>::split_first);
    Ok(packet.map(|(kind, payload)| (*kind, payload)))
}

fn empty<T>(kind: u8, payload: &[u8], said: T) -> Result<T, Broken> {
    if payload.is_empty() { Ok(said) } else { Err(Broken::Length { kind, bytes: payload.len() }) }
}

#[inline]
fn write(kind: u8, payload: &[u8], into: &mut [u8]) -> Option<usize> {
    let length = u16::try_from(1 + payload.len()).ok()?;
    let whole = HEADER_BYTES + payload.len();
    let (header, rest) = into.get_mut(..whole)?.split_first_chunk_mut::<HEADER_BYTES>()?;
    let [high, low] = length.to_be_bytes();
    *header = [high, low, kind];
    rest.copy_from_slice(payload);
    Some(whole)
}

const TIMEOUT_BYTES: usize = 5;
const TIMEOUT_MAX: u32 = 99_999;
const SEQUENCE_BYTES: usize = 20;

impl LoginRequest {
    const BYTES: usize = 46;

    fn read(payload: &[u8]) -> Result<Self, Broken> {
        let wrong = Broken::Length { kind: b'L', bytes: payload.len() };
        let (fields, timeout) = payload.split_first_chunk::<{ Self::BYTES }>().ok_or(wrong)?;
        let timeout = match timeout.len() {
            0 => None,
            TIMEOUT_BYTES => {
                let number = number(timeout).and_then(|number| u32::try_from(number).ok());
                Some(number.ok_or(Broken::Field("heartbeat timeout"))?)
            }
            _ => return Err(wrong),
        };
        Ok(Self {
            username: Alpha::from_text(&fields[..6]).ok_or(Broken::Field("username"))?,
            password: Alpha::from_text(&fields[6..16]).ok_or(Broken::Field("password"))?,
            session: Alpha::from_text(&fields[16..26]).ok_or(Broken::Field("session"))?,
            sequence: number(&fields[26..]).ok_or(Broken::Field("sequence number"))?,
            timeout,
        })
    }

    fn write(&self, into: &mut [u8]) -> Option<usize> {
        let mut payload = [0; Self::BYTES + TIMEOUT_BYTES];
        payload[..6].copy_from_slice(&self.username.0);
        payload[6..16].copy_from_slice(&self.password.0);
        payload[16..26].copy_from_slice(&self.session.0);
        payload[26..46].copy_from_slice(&digits::<SEQUENCE_BYTES>(self.sequence));
        let Some(timeout) = self.timeout else {
            return write(b'L', &payload[..Self::BYTES], into);
        };
        let timeout = timeout.min(TIMEOUT_MAX);
        payload[46..].copy_from_slice(&digits::<TIMEOUT_BYTES>(u64::from(timeout)));
        write(b'L', &payload, into)
    }
}

impl LoginAccepted {
    const BYTES: usize = 30;

    fn read(payload: &[u8]) -> Result<Self, Broken> {
        let fields: &[u8; Self::BYTES] =
            payload.try_into().map_err(|_| Broken::Length { kind: b'A', bytes: payload.len() })?;
        Ok(Self {
            session: Alpha::from_text(&fields[..10]).ok_or(Broken::Field("session"))?,
            sequence: number(&fields[10..]).ok_or(Broken::Field("sequence number"))?,
        })
    }

    /// Here the session's name, too, has its spaces on the left.
    fn write(&self, into: &mut [u8]) -> Option<usize> {
        let mut payload = [b' '; Self::BYTES];
        let (session, sequence) = payload.split_at_mut(10);
        let text = self.session.text();
        session[10 - text.len()..].copy_from_slice(text);
        sequence.copy_from_slice(&digits::<SEQUENCE_BYTES>(self.sequence));
        write(b'A', &payload, into)
    }
}

impl LoginReject {
    fn read(payload: &[u8]) -> Result<Self, Broken> {
        match payload {
            b"A" => Ok(Self::NotAuthorized),
            b"S" => Ok(Self::SessionNotAvailable),
            [_] => Err(Broken::Field("reject code")),
            _ => Err(Broken::Length { kind: b'J', bytes: payload.len() }),
        }
    }
}

/// Digits with spaces on either side.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let digits = trim(bytes);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        // One with no room is above any that is.
        Some(number.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

/// The number's last digits, with spaces on the left.
pub(crate) fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b' '; N];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        if number > 0 || place == 0 {
            *digit = b'0' + (number % 10) as u8;
        }
        number /= 10;
    }
    digits
}
