//! Writes sample runs below a directory, to look at reports without a server:
//!
//! ```text
//! cargo run -p loadgen --example sample_runs -- /tmp/samples
//! cargo run -p loadgen -- report /tmp/samples/run
//! cargo run -p loadgen -- compare /tmp/samples/before /tmp/samples/slower --out compared.html
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;

use loadgen::results::Results;
use loadgen::saved;
use sample::Shape;

#[path = "../tests/pages/sample.rs"]
mod sample;

fn main() -> Result<(), Box<dyn Error>> {
    let home = std::env::args_os().nth(1).ok_or("name a directory to write to")?;
    let home = Path::new(&home);
    let good = Shape { median_ns: 9_400.0, stall: None, wrong: None, seed: 1 };
    let stalled = Shape { stall: Some((31, 24_000_000)), ..good };
    write(&home.join("run"), &sample::run("order to reply, journaled", stalled))?;
    let wrong = Shape { wrong: Some((12, 3)), seed: 2, ..good };
    write(&home.join("wrong"), &sample::run("order to reply, with mistakes", wrong))?;
    write(&home.join("sweep"), &sample::sweep("sweep of rates, journaled", good))?;
    for seed in 1..=5 {
        for (name, slower) in [("before", 1.0), ("same", 1.0), ("slower", 1.2)] {
            let noise = 1.0 + 0.01 * ((seed * 7 + name.len() as u64 * 3) % 5) as f64;
            let median_ns = good.median_ns * slower * noise;
            let shape = Shape { median_ns, seed: seed * 10 + name.len() as u64, ..good };
            write(&home.join(name).join(seed.to_string()), &sample::run(name, shape))?;
        }
    }
    Ok(())
}

fn write(directory: &Path, results: &Results) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join(saved::FILE_NAME), serde_json::to_vec_pretty(results)?)?;
    Ok(())
}
