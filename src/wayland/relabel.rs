//! Labels that change while their clients are connected.
//!
//! Who a client is was decided when it connected. If its directories say somebody else later, it may do what both may:
//! a changed label takes at once and never gives, whoever wrote it, and writing the old one back gives nothing back.

use std::io;
use std::os::fd::OwnedFd;

use super::authenticator::Authenticator;
use super::basis::Basis;
use super::client::ClientAuth;
use super::live::{Cause, Event, Labels};
use crate::identity::Identity;

impl Authenticator {
    /// Watches the directories that say who connected clients are. The descriptor becomes readable when
    /// [`tick`](Self::tick) is to be called because something changed; [`LiveRights`](crate::source::LiveRights) does it.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub fn watch_labels(&self) -> io::Result<OwnedFd> {
        let mut place = self.inner.live.labels();
        let labels = match &mut *place {
            Some(labels) => labels,
            none => none.insert(Labels::new()?),
        };
        labels.descriptor()
    }

    /// Looks at the labels of those that came, and of those whose directories changed.
    pub(super) fn look_at_labels(&self) {
        let mut told = Vec::new();
        {
            let mut place = self.inner.live.labels();
            let Some(labels) = &mut *place else { return };
            labels.keep(|client| self.inner.live.is_connected(client));
            let changed = labels.read();
            let mut missed = changed.missed;
            for client in self.clients() {
                let is_new = !labels.knows(client.serial());
                if !is_new && !changed.clients.contains(&client.serial()) {
                    continue;
                }
                let now = self.look_again(&client, is_new.then_some(&mut *labels));
                labels.is_known(client.serial());
                match now {
                    Ok(identity) => told.extend(identity.map(|identity| (client, identity))),
                    Err(why) => missed = Some(why),
                }
            }
            if let Some(why) = missed
                && labels.complain()
            {
                tracing::warn!(why, "it is not seen when the labels of some clients change: they keep what they have");
                self.inner.live.tell(&Event::LabelsNotWatched { why: why.into() });
            }
        }
        for (client, identity) in told {
            tracing::warn!(before = %client.identity(), now = %identity, "the label of a client changed: it may do what both may");
            self.reconsider_one(&client, &Cause::Relabelled);
            self.inner.live.tell(&Event::Relabelled { client, identity });
        }
    }

    /// Who the client would be now, if that is somebody else than ever before.
    fn look_again(&self, client: &ClientAuth, labels: Option<&mut Labels>) -> Result<Option<Identity>, String> {
        let by_kernel = match client.basis() {
            Basis::Kernel { as_before: false } => client.identity(),
            Basis::Context { by_kernel, as_before: false, .. } => by_kernel,
            _ => return Ok(None),
        };
        if !by_kernel.is_identified() {
            // It has the least already.
            return Ok(None);
        }
        let mut labels = labels;
        let mut watch = |directory: std::os::fd::BorrowedFd<'_>| match &mut labels {
            Some(labels) => labels.watch(client.serial(), directory),
            None => Ok(()),
        };
        let Some(now) = self.inner.identity_now(client.evidence(), &self.snapshot(), &mut watch)? else {
            return Ok(None);
        };
        Ok(client.note_identity(by_kernel, &now).then_some(now))
    }
}
