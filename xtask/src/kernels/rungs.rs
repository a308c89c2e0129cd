//! Which kernels, and what each claims.

use crate::error::Error;

/// Major and minor number.
pub(super) type Version = (u32, u32);

/// The first version with `SO_PEERPIDFD`: from here on peers are identified.
pub(super) const PEER_PIDFD: Version = (6, 5);

/// A kernel of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    /// Its version, as people write it.
    pub(super) name: &'static str,
    /// The same, to compare.
    pub(super) version: Version,
}

const fn rung(name: &'static str, version: Version) -> Rung {
    Rung { name, version }
}

/// All of them, oldest first. What is new for us: 6.1 has no `SO_PEERPIDFD`; 6.12 has it, answers EINVAL to
/// `PIDFD_GET_INFO` and refuses reaped peers; 6.16 knows of reaped peers and may forget to tell; 6.18 tells a foreign pid
/// namespace; 7.0 and 7.1 append to `struct pidfd_info` at different places; 7.3 forgets no more.
pub(super) const RUNGS: &[Rung] = &[
    rung("6.1", (6, 1)),
    rung("6.12", (6, 12)),
    rung("6.16", (6, 16)),
    rung("6.17", (6, 17)),
    rung("6.18", (6, 18)),
    rung("6.19", (6, 19)),
    rung("7.0", (7, 0)),
    rung("7.1", (7, 1)),
    rung("7.2", (7, 2)),
    rung("7.3", (7, 3)),
];

impl Rung {
    /// Whether a kernel of this version can identify anybody.
    pub(super) fn identifies(&self) -> bool {
        self.version >= PEER_PIDFD
    }
}

/// Those with these names, or all.
///
/// # Errors
///
/// [`Error::Usage`] for a name that is none.
pub(super) fn chosen(names: &[String]) -> Result<Vec<Rung>, Error> {
    if let Some(other) = names.iter().find(|name| RUNGS.iter().all(|rung| rung.name != **name)) {
        let all = RUNGS.iter().map(|rung| rung.name).collect::<Vec<_>>().join(", ");
        return Err(Error::Usage(format!("there is no kernel `{other}` here, but {all}")));
    }
    let chosen = |rung: &&Rung| names.is_empty() || names.iter().any(|name| name == rung.name);
    Ok(RUNGS.iter().filter(chosen).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_in_order_and_named_after_their_version() {
        assert!(RUNGS.is_sorted_by(|a, b| a.version < b.version));
        for rung in RUNGS {
            assert_eq!(rung.name, format!("{}.{}", rung.version.0, rung.version.1));
        }
    }

    #[test]
    fn a_kernel_that_is_not_there_is_refused_by_name() {
        assert_eq!(chosen(&["7.3".into(), "6.1".into()]).unwrap(), [RUNGS[0], RUNGS[9]]);
        assert!(chosen(&["5.4".into()]).unwrap_err().report().contains("`5.4`"));
    }
}
