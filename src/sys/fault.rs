//! Makes the system calls of a look-up fail, one by one: for the tests, behind the feature `fault-injection`.
//!
//! A plan is of one thread and for one look-up. A call that is to fail is not made, so that nothing that it would have
//! opened is left behind.

use std::cell::RefCell;

use rustix::io::Errno;

use super::errno::Call;

/// What a call answers instead of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "only the tests use it")]
pub enum Answer {
    /// It fails.
    Errno(i32),
    /// A read gives less than there is; the rest comes with the next one.
    Cut,
    /// A read gives nothing, as at the end; a list is empty.
    Empty,
    /// `PIDFD_GET_INFO` does not tell the pid, as for a process that was reaped.
    NoPid,
    /// `PIDFD_GET_INFO` does not tell the cgroup.
    NoCgroup,
}

/// Which calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "only the tests use it")]
pub enum Extent {
    /// This one.
    Once,
    /// This one, and from there on all of the same name.
    SameCall,
    /// This one and all that come after it.
    Everything,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "only the tests use it")]
pub struct Fault {
    /// The number of the first call that fails, from 0.
    pub at: usize,
    /// Which calls fail.
    pub extent: Extent,
    /// What they answer.
    pub answer: Answer,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "only the tests use it")]
pub struct Trace {
    /// The calls that were made, or failed, in their order.
    pub calls: Vec<&'static str>,
    /// How often an answer was changed.
    pub injected: usize,
}

#[derive(Default)]
struct Running {
    fault: Option<Fault>,
    trace: Trace,
    /// An answer that is changed after the call was made.
    pending: Option<Answer>,
}

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Does `f` with this fault in it, and tells what happened.
pub fn run<T>(fault: Option<Fault>, f: impl FnOnce() -> T) -> (T, Trace) {
    /// Ends the plan even if `f` panics.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            RUNNING.take();
        }
    }
    RUNNING.set(Some(Running { fault, ..Running::default() }));
    let end = End;
    let result = f();
    let trace = RUNNING.take().map(|running| running.trace).unwrap_or_default();
    drop(end);
    (result, trace)
}

/// A call is about to be made.
pub(super) fn enter(call: Call) -> rustix::io::Result<()> {
    RUNNING.with_borrow_mut(|running| running.as_mut().map_or(Ok(()), |running| running.enter(call)))
}

impl Running {
    fn enter(&mut self, call: Call) -> rustix::io::Result<()> {
        self.pending = None;
        let (number, name) = (self.trace.calls.len(), call.name());
        self.trace.calls.push(name);
        let Some(fault) = self.fault else { return Ok(()) };
        let hit = match fault.extent {
            Extent::Once => number == fault.at,
            Extent::SameCall => number >= fault.at && self.trace.calls.get(fault.at) == Some(&name),
            Extent::Everything => number >= fault.at,
        };
        match fault.answer {
            _ if !hit => Ok(()),
            Answer::Errno(errno) => {
                self.trace.injected += 1;
                Err(Errno::from_raw_os_error(errno))
            }
            later => {
                self.pending = Some(later);
                Ok(())
            }
        }
    }

    /// Whether the answer of the call that was made last is to be changed in this way.
    fn take(&mut self, answer: Answer) -> bool {
        let is_it = self.pending == Some(answer);
        if is_it {
            self.pending = None;
            self.trace.injected += 1;
        }
        is_it
    }
}

fn is_changed(answer: Answer) -> bool {
    RUNNING.with_borrow_mut(|running| running.as_mut().is_some_and(|running| running.take(answer)))
}

/// How much of the buffer a read may fill.
pub(super) fn room(buffer: &mut [u8]) -> &mut [u8] {
    if is_changed(Answer::Empty) {
        return &mut [];
    }
    // One byte is the least that is no end, and lies in the middle of everything.
    if is_changed(Answer::Cut) && !buffer.is_empty() { &mut buffer[..1] } else { buffer }
}

/// How long a list is.
pub(super) fn length(length: usize) -> usize {
    if is_changed(Answer::Empty) { 0 } else { length }
}

/// What `PIDFD_GET_INFO` filled in.
pub(super) fn mask(mask: u64, pid: u64, cgroup: u64) -> u64 {
    if is_changed(Answer::NoPid) {
        return mask & !pid;
    }
    if is_changed(Answer::NoCgroup) { mask & !cgroup } else { mask }
}
