//! What a process could do to its label where it reaches the hierarchy.

use std::path::Path;

use super::labels::Ancestry;
use super::status::Powers;
use crate::output::shown;

/// What a process could do from a directory of cgroup2 downwards, through something that is writable. Empty if nothing.
pub(super) fn harm(ancestry: &Ancestry, powers: &Powers, from: &Path) -> Vec<String> {
    let reached = || ancestry.directories.iter().filter(|directory| directory.path.starts_with(from));
    let rewritten = reached().filter(|directory| directory.labelled && powers.may_label(&directory.stat));
    let mut harm: Vec<String> = rewritten
        .map(|directory| {
            let (path, uid) = (shown(&directory.path), directory.stat.st_uid);
            format!("it can rewrite and strip the label on {path}, which belongs to uid {uid}")
        })
        .collect();
    // Leaving needs the right to write to `cgroup.procs` of the destination and of the common ancestor, which is at
    // least one above the label. That directory itself, or a new one in it, then serves as the destination.
    let innermost = ancestry.labelled().next();
    let left = reached().find(|directory| {
        innermost.is_some_and(|label| label.path != directory.path && label.path.starts_with(&directory.path))
            && powers.may_write(&directory.procs)
    });
    if let Some(directory) = left {
        let (path, uid) = (shown(&directory.path), directory.procs.st_uid);
        harm.push(format!("it can leave its label for {path}, whose cgroup.procs belongs to uid {uid}"));
    }
    harm
}
