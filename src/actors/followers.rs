//! Tells those who follow one execution how far its journal goes. A hint: a follower reads the journal, which has everything.
//! Bounds: one number per followed execution, whatever happens in it and however slow its followers are.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::watch;

use crate::model::ids::ExecutionId;

type Lengths = Arc<DashMap<ExecutionId, watch::Sender<u32>>>;

/// Who follows which execution in this process.
#[derive(Clone, Default)]
pub struct Followers(Lengths);

/// One follower's ear; the last one of an execution takes its entry away.
pub struct News {
    lengths: Lengths,
    execution: ExecutionId,
    /// `None` only while it is dropped.
    receiver: Option<watch::Receiver<u32>>,
}

impl Followers {
    /// Listens for what is committed of an execution from now on.
    pub fn listen(&self, execution: ExecutionId) -> News {
        let receiver = self.0.entry(execution).or_insert_with(|| watch::Sender::new(0)).subscribe();
        News { lengths: Arc::clone(&self.0), execution, receiver: Some(receiver) }
    }

    /// The execution's journal now has this many events.
    pub fn committed(&self, execution: ExecutionId, events: u32) {
        if let Some(sender) = self.0.get(&execution) {
            sender.send_replace(events);
        }
    }
}

impl News {
    /// Waits until something was committed since the last call.
    pub async fn next(&mut self) {
        let receiver = self.receiver.as_mut().expect("it is taken on drop only");
        if receiver.changed().await.is_err() {
            // The entry outlives its ears; without it nobody will ever tell.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        drop(self.receiver.take());
        self.lengths.remove_if(&self.execution, |_, sender| sender.receiver_count() == 0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn tells_each_follower_of_its_execution_only_and_forgets_those_who_left() {
        let followers = Followers::default();
        let [mine, other] = [1, 2].map(|number| ExecutionId::from_uuid(Uuid::from_u128(number)));
        let (mut first, mut second) = (followers.listen(mine), followers.listen(mine));
        followers.committed(other, 1);
        assert!(first.next().now_or_never().is_none());
        followers.committed(mine, 1);
        followers.committed(mine, 2);
        assert!(first.next().now_or_never().is_some() && second.next().now_or_never().is_some());
        assert!(first.next().now_or_never().is_none(), "it was told of both at once");
        drop(first);
        assert_eq!(followers.0.len(), 1);
        drop(second);
        assert!(followers.0.is_empty());
    }
}
