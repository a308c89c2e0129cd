//! A file system in user space that answers until somebody lives in it, and never again.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mount::{MountFlags, mount};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{Gid, Uid, set_thread_res_gid, set_thread_res_uid};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const INIT: u32 = 26;
const GETATTR: u32 = 3;
const FORGET: [u32; 2] = [2, 42];
const NOT_HERE: i32 = -38;

/// `UID,DIRECTORY,SOCKET`: mounts the file system on the directory, makes it the root, becomes the user, and connects.
///
/// To be called by root, in a mount namespace of its own.
///
/// # Errors
///
/// If any of that fails.
pub fn live_in_a_silent_root(value: &str) -> Result<UnixStream> {
    let [uid, dir, socket] = value.splitn(3, ',').collect::<Vec<_>>()[..] else {
        return Err("fuse-root=UID,DIRECTORY,SOCKET".into());
    };
    let uid: u32 = uid.parse()?;
    let socket = Path::new(socket);
    // What is relative to the working directory can be reached from anywhere.
    std::env::set_current_dir(socket.parent().ok_or("no directory")?)?;
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    let options = format!("fd={},rootmode=40755,user_id={uid},group_id={uid},allow_other", device.as_raw_fd());
    let options = std::ffi::CString::new(options)?;
    mount("silent", dir, "fuse", MountFlags::NOSUID | MountFlags::NODEV, Some(options.as_c_str()))?;
    let silent = Arc::new(AtomicBool::new(false));
    let also_silent = Arc::clone(&silent);
    std::thread::Builder::new().spawn(move || {
        if let Err(e) = serve(device, &also_silent) {
            eprintln!("peer: the file system: {e}");
        }
    })?;
    rustix::process::chroot(dir)?;
    silent.store(true, Ordering::SeqCst);
    // The first thread is the one that is looked at.
    set_thread_res_gid(Gid::from_raw(uid), Gid::from_raw(uid), Gid::from_raw(uid))?;
    set_thread_res_uid(Uid::from_raw(uid), Uid::from_raw(uid), Uid::from_raw(uid))?;
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    Ok(UnixStream::connect(socket.file_name().ok_or("no name")?)?)
}

/// Serves an empty root directory; once `silent`, takes requests and answers none.
fn serve(mut device: File, silent: &AtomicBool) -> Result<()> {
    let mut request = vec![0; 256 * 1024];
    loop {
        let len = device.read(&mut request)?;
        let word = |at: usize| request.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        let opcode = word(4).filter(|_| len >= 40).ok_or("a short request")?;
        if silent.load(Ordering::SeqCst) || FORGET.contains(&opcode) {
            continue;
        }
        let (error, body) = match opcode {
            INIT => (0, init()),
            GETATTR => (0, root_attributes()),
            _ => (NOT_HERE, Vec::new()),
        };
        let mut answer = Vec::new();
        answer.extend(u32::try_from(16 + body.len())?.to_ne_bytes());
        answer.extend(i32::to_ne_bytes(error));
        answer.extend(&request[8..16]);
        answer.extend(body);
        device.write_all(&answer)?;
    }
}

/// `fuse_init_out` as of version 7.22: 24 bytes.
fn init() -> Vec<u8> {
    let words: [u32; 6] = [7, 22, 0, 0, 0, 4096];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// `fuse_attr_out` of a directory of root's, valid for a long time.
fn root_attributes() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(u64::to_ne_bytes(1 << 20));
    bytes.extend([0; 8]);
    bytes.extend(u64::to_ne_bytes(1));
    bytes.extend([0; 5 * 8]);
    bytes.extend([0; 3 * 4]);
    for word in [0o040_755_u32, 2, 0, 0, 0, 4096, 0] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}
