//! Whether standard output was open when the process began.
//!
//! Rust's runtime puts `/dev/null` in the place of a closed descriptor before `main` is reached, so that no
//! file opened later is mistaken for standard output. What is written there is gone without an error:
//! events would count as delivered. So this is asked before that, as one of the program's initialisers.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// An error if there was no standard output to begin with.
pub(crate) fn standard_output() -> io::Result<()> {
    match CLOSED.load(Ordering::Relaxed) {
        true => Err(io::Error::other("it was closed before the program began")),
        false => Ok(()),
    }
}

#[cfg(target_os = "linux")]
mod before_main {
    use super::{CLOSED, Ordering};

    #[used]
    #[expect(
        unsafe_code,
        reason = "only an initialiser is early enough, and the linker takes its word for the type"
    )]
    // SAFETY: the section holds pointers to functions of this signature. The C library has been started when it
    // calls them; `look` needs nothing of Rust's runtime: one system call, and a store to a static.
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
        CLOSED.store(closed, Ordering::Relaxed);
    }
}
