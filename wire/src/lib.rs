//! The bytes that clients see, exactly: numbers and letters at their places, and nothing of what
//! they mean to an exchange. `docs/PROTOCOLS.md` says what is supported and where we deviate.
//!
//! - [`soup`]: packets in a byte stream: `SoupBinTCP` 3.00.
//! - [`ouch`]: order entry in such packets: OUCH 4.2.
//! - [`itch`]: market data in such packets, or in datagrams: ITCH 5.0.
//! - [`glimpse`]: how the market stands, for those who come late: GLIMPSE 5.0.
//! - [`mold`]: datagrams: `MoldUDP64`.
//! - [`layout`]: what all of them are made of.
//!
//! A message is a struct of unaligned big-endian fields, so its bytes are the value: reading is a
//! check of type and length and one copy, writing is one copy, and no field has an offset that
//! could be wrong. Letters are open sets, because clients must bear letters that they do not know;
//! what a letter may be is the reader's business. Nothing here allocates, and nothing panics,
//! whatever the bytes.

pub mod glimpse;
pub mod itch;
pub mod layout;
pub mod mold;
pub mod ouch;
pub mod soup;
