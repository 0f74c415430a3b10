//! The journal as its users meet it: on simulated disks that lose, tear and refuse, and on real
//! ones. One program, because linking one for each subject took longer than most of them run.

mod common;
mod disks;

mod crash;
mod damage;
mod faults;
mod full_disk;
mod golden;
mod model;
mod real_files;
mod repair;
mod retention;
mod room;
#[cfg(feature = "s3")]
mod s3;
mod slow_sync;
mod truncate;
mod verify;
