//! The words of a policy: the parser goes by them, and so does the schema that editors have.

pub(in crate::policy) use super::limits::{KEYS as LIMITS, MAX as MAX_LIMIT};
pub(in crate::policy) use super::rules::{MATCH, NAMESPACES, PROVENANCES, RULE, WHEN_DENIED};
use crate::policy::settings::{UserEvidence, WithoutKernelIdentity};

pub(in crate::policy) const SECTIONS: &[&str] =
    &["capabilities", "defaults", "include", "limits", "machine", "rule", "trust"];

pub(in crate::policy) const DEFAULTS: &[&str] = &["host", "internal", "namespaced", "sandboxed", "unidentified"];

pub(in crate::policy) const MACHINE: &[&str] = &["without-kernel-identity"];

pub(in crate::policy) const WITHOUT_KERNEL_IDENTITY: [(&str, WithoutKernelIdentity); 2] =
    [("deny", WithoutKernelIdentity::Deny), ("as-before", WithoutKernelIdentity::AsBefore)];

pub(in crate::policy) const TRUST: &[&str] = &["uids", "user-evidence"];

pub(in crate::policy) const USER_EVIDENCE: [(&str, UserEvidence); 2] =
    [("capped", UserEvidence::Capped), ("as-written", UserEvidence::AsWritten)];
