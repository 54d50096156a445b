//! Orders about sites: drains of the overlay, on disk before they are published.

use model::SiteName;
use model::site::SiteId;

use super::Shell;
use crate::guard;
use crate::handle::{Author, OrderError, Ordered, TEXT_CHARS_MAX};
use crate::plan::Change;
use crate::publication::Publication;
use crate::store::Drain;

impl Shell {
    pub(super) async fn drain(
        &mut self,
        site: &str,
        author: Author,
    ) -> Result<Ordered, OrderError> {
        let (id, name) = self.site(site)?;
        let Author { by, reason } = author;
        check_text("by", &by)?;
        check_text("reason", &reason)?;
        if self.world.drains.contains_key(&name) {
            return Ok(self.ordered(id, Moved::No));
        }
        let policy = &self.world.policy;
        let drained = policy.sites().map(|(id, _)| self.is_drained(id)).collect::<Vec<_>>();
        guard::admit_drain(policy, &drained, id)?;
        let now = self.clock.now();
        let drain = Drain { by: by.clone(), reason: reason.clone(), at_unix_ms: now.unix_ms };
        let (stored, order) = (name.clone(), drain.clone());
        self.in_store(move |store| store.drain(&stored, &order)).await?;
        self.world.drains.insert(name.clone(), drain);
        self.settle_order().await;
        self.remember(vec![Change::Drain { site: name, by, reason }], now);
        Ok(self.ordered(id, Moved::Yes))
    }

    pub(super) async fn undrain(
        &mut self,
        site: &str,
        author: Author,
    ) -> Result<Ordered, OrderError> {
        let (id, name) = self.site(site)?;
        let Author { by, reason: _ } = author;
        check_text("by", &by)?;
        if !self.world.drains.contains_key(&name) {
            return Ok(self.ordered(id, Moved::No));
        }
        let now = self.clock.now();
        let (stored, who) = (name.clone(), by.clone());
        self.in_store(move |store| store.undrain(&stored, &who, now.unix_ms)).await?;
        self.world.drains.remove(&name);
        self.settle_order().await;
        self.remember(vec![Change::Undrain { site: name, by }], now);
        Ok(self.ordered(id, Moved::Yes))
    }

    /// Publishes at once, so that whoever ordered it hears the generation that carries it.
    async fn settle_order(&mut self) {
        self.touch();
        if let Err(error) = self.settle_health().await {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot publish an order");
        }
    }

    fn site(&self, name: &str) -> Result<(SiteId, SiteName), OrderError> {
        let policy = &self.world.policy;
        let unknown = || OrderError::UnknownSite(name.chars().take(TEXT_CHARS_MAX).collect());
        let id = policy.site_id(name).ok_or_else(unknown)?;
        Ok((id, policy.site(id).name.clone()))
    }

    fn is_drained(&self, id: SiteId) -> bool {
        let site = self.world.policy.site(id);
        site.drain || self.world.drains.contains_key(&site.name)
    }

    fn ordered(&self, id: SiteId, moved: Moved) -> Ordered {
        let have = self.published.as_ref().map(Publication::have).unwrap_or_default();
        Ordered { have, drained: self.is_drained(id), changed: moved == Moved::Yes }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

fn check_text(what: &'static str, text: &str) -> Result<(), OrderError> {
    let fits = (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
    if fits && !text.chars().any(char::is_control) { Ok(()) } else { Err(OrderError::Text(what)) }
}
