//! What becomes of results: pages, verdicts, and the commands that make them.

mod compare;
mod files;
mod page;
mod sample;
mod saved;
