//! The courier within one process: a watched pointer one way, a bounded queue the other.

use std::sync::Arc;
use std::time::Duration;

use model::observe::SiteReport;
use tokio::sync::{mpsc, watch};

use crate::courier::{Courier, CourierError};
use crate::publication::{Have, Offer, Publication};

/// Hands out the controller's publications by reference.
#[derive(Debug, Clone)]
pub struct LocalCourier {
    publications: watch::Receiver<Option<Arc<Publication>>>,
    reports: mpsc::Sender<SiteReport>,
}

impl LocalCourier {
    pub(crate) fn new(
        publications: watch::Receiver<Option<Arc<Publication>>>,
        reports: mpsc::Sender<SiteReport>,
    ) -> Self {
        Self { publications, reports }
    }

    /// Queues a report without waiting.
    ///
    /// # Errors
    /// When the controller is busy or gone; the next report says it all.
    pub fn try_report(&self, report: SiteReport) -> Result<(), CourierError> {
        self.reports.try_send(report).map_err(|_| CourierError::Busy)
    }

    /// The newest generations published; `None` before the first.
    pub fn published(&self) -> Option<Have> {
        self.publications.borrow().as_ref().map(|publication| publication.have())
    }
}

impl Courier for LocalCourier {
    async fn fetch(&self, have: Have, wait: Duration) -> Result<Offer, CourierError> {
        let mut publications = self.publications.clone();
        let news = publications.wait_for(|publication| {
            publication.as_ref().is_some_and(|publication| publication.offer(&have).is_some())
        });
        match tokio::time::timeout(wait, news).await {
            Ok(Ok(publication)) => {
                let offer = publication.as_ref().and_then(|publication| publication.offer(&have));
                Ok(offer.unwrap_or_default())
            }
            Ok(Err(_)) => Err(CourierError::Ended),
            Err(_) => Ok(Offer::default()),
        }
    }

    async fn report(&self, report: SiteReport) -> Result<(), CourierError> {
        self.try_report(report)
    }
}
