//! How full the channels between the stages are, without keeping them open.

use std::fmt;

/// The fill of one bounded channel.
pub(crate) struct QueueGauge {
    /// What waits in it.
    pub(crate) name: &'static str,
    /// How much can.
    pub(crate) capacity: usize,
    length: Box<dyn Fn() -> usize + Send>,
}

impl QueueGauge {
    /// Of the channel behind `sender`, which may close all the same: then it is empty.
    pub(crate) fn new<T: Send + 'static>(
        name: &'static str,
        sender: &flume::Sender<T>,
    ) -> QueueGauge {
        let weak = sender.downgrade();
        QueueGauge {
            name,
            capacity: sender.capacity().unwrap_or_default(),
            length: Box::new(move || weak.upgrade().map_or(0, |sender| sender.len())),
        }
    }

    /// What waits now.
    pub(crate) fn length(&self) -> usize {
        (self.length)()
    }
}

impl fmt::Debug for QueueGauge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}/{}", self.name, self.length(), self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauge_follows_the_queue_and_does_not_keep_it_open() {
        let (send, receive) = flume::bounded(3);
        let gauge = QueueGauge::new("numbers", &send);
        send.send(1).unwrap();
        assert_eq!((gauge.length(), gauge.capacity), (1, 3));
        drop(send);
        assert_eq!(receive.recv(), Ok(1));
        assert!(receive.is_disconnected());
        assert_eq!(gauge.length(), 0);
    }
}
