//! The built-in logic: an exchange. `docs/EXCHANGE.md` holds its rules.

pub mod command;
pub mod event;
pub mod ids;
mod layout;
pub mod reject;
