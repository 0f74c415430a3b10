//! The `ringframe` program: arguments in, exit code out.

use std::process::ExitCode;

use ringframe::memory::HugePages;

mod cli;

#[global_allocator]
static MEMORY: HugePages = HugePages;

fn main() -> ExitCode {
    ringframe::log::begin();
    cli::run()
}
