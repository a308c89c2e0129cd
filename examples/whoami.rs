//! A socket that tells who connected and by which evidence. No compositor, no Wayland.
//!
//! ```sh
//! cargo run --example whoami -- /tmp/whoami.sock
//! socat - UNIX-CONNECT:/tmp/whoami.sock        # or: python3 -c '...', nc -U
//! ```

use std::error::Error;
use std::io::Write;
use std::os::unix::net::UnixListener;

use wayland_auth::identity::{Resolver, Trust};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: whoami SOCKET (a path that does not exist yet)")?;
    let resolver = Resolver::builder().credential_details(true).build()?;
    eprint!("{}", resolver.support());
    let listener = UnixListener::bind(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    eprintln!("listening on {}", path.display());
    for stream in listener.incoming() {
        // One connection that fails is no reason to stop serving the others.
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(e) => {
                eprintln!("a connection could not be accepted: {e}");
                continue;
            }
        };
        let identified = resolver.identify(&stream, &Trust::default());
        let answer = format!("you are: {}\n{}\n", identified.identity, identified.evidence);
        println!("{answer}");
        if let Err(e) = stream.write_all(answer.as_bytes()) {
            eprintln!("the peer did not wait for its answer: {e}");
        }
    }
    Ok(())
}
