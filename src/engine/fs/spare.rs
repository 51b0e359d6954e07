//! [`LocalThread`]: a thread of Linux that can be given only what others leave of the processors.
//!
//! That is the policy `SCHED_IDLE` of sched(7). It is more than a low weight: a thread that wakes up prefers a processor on which
//! nothing else runs to one that it would take from somebody, and a processor with only such threads counts as one with none.
//! A process that has neither the capability `CAP_SYS_NICE` nor a limit `RLIMIT_NICE` that admits the thread's niceness may take the policy and
//! not give it back.
//!
//! `unsafe` is for three system calls that take or give a thread's number, one of which reads a number of the caller's.

#![allow(unsafe_code)]

use super::SpareTime;
use rustix::process::{getpriority_process, setpriority_process};
use std::io;

/// A thread that has the ordinary policy when nothing else is said.
#[derive(Debug)]
pub(super) struct LocalThread {
    id: libc::c_long,
}

impl LocalThread {
    /// The calling thread, if it has the ordinary policy: another one is the wish of somebody who knows more.
    pub(super) fn current() -> Option<LocalThread> {
        // SAFETY: the call takes nothing and only returns a number.
        let id = unsafe { libc::syscall(libc::SYS_gettid) };
        // SAFETY: the call takes a thread's number and only returns one.
        let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, id) };
        (id > 0 && policy == libc::c_long::from(libc::SCHED_OTHER)).then_some(LocalThread { id })
    }
}

impl SpareTime for LocalThread {
    // Who may take a thread's niceness down by one may take the policy back at the niceness that it has. To be refused changes nothing.
    fn may_return(&self) -> bool {
        let Ok(niceness) = getpriority_process(None) else { return false };
        setpriority_process(None, niceness - 1).is_ok() && setpriority_process(None, niceness).is_ok()
    }

    fn only_spare(&self, only: bool) -> io::Result<()> {
        let policy = if only { libc::SCHED_IDLE } else { libc::SCHED_OTHER };
        // The kernel's `struct sched_param`, which not every C library has as it is.
        let priority: libc::c_int = 0;
        // SAFETY: the kernel reads one number, which lives here. A thread that has ended is an error, `ESRCH`; one that has been given its
        // number since gets an ordinary policy at worst, or one that it can be given by anybody who may.
        let told =
            unsafe { libc::syscall(libc::SYS_sched_setscheduler, self.id, policy, &raw const priority) };
        if told == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 41st field of `stat`, of proc_pid_stat(5).
    fn policy_of_this_thread() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        after_name.split_whitespace().nth(41 - 3).unwrap().parse().unwrap()
    }

    #[test]
    fn a_thread_takes_the_policy_and_gives_it_back_if_it_may() {
        // Whoever runs the tests with another policy has none to see here.
        let Some(thread) = LocalThread::current() else { return };
        assert_eq!(policy_of_this_thread(), libc::SCHED_OTHER);
        let (niceness, may_return) = (getpriority_process(None).unwrap(), thread.may_return());
        assert_eq!(getpriority_process(None).unwrap(), niceness);
        thread.only_spare(true).unwrap();
        assert_eq!(policy_of_this_thread(), libc::SCHED_IDLE);
        assert!(LocalThread::current().is_none());
        match thread.only_spare(false) {
            Ok(()) => assert_eq!(policy_of_this_thread(), libc::SCHED_OTHER),
            Err(error) => assert_eq!((error.kind(), may_return), (io::ErrorKind::PermissionDenied, false)),
        }
    }

    #[test]
    fn a_thread_that_has_ended_is_an_error() {
        let Some(thread) = std::thread::spawn(LocalThread::current).join().unwrap() else { return };
        // Who waits for a thread is told a little before it is gone.
        while thread.only_spare(false).is_ok() {
            std::thread::yield_now();
        }
    }
}
