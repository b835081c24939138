//! What one pipeline leaves to the next one of the same process: the state folder, what was
//! acknowledged, and what the tail had open.

use std::sync::Arc;
use std::time::SystemTime;

use crate::checkpoint::{Loaded, SinkState, Snapshot, Store};
use crate::config::Config;
use crate::error::Result;
use crate::tail::Left;

/// Everything that goes from one pipeline to the next.
pub(super) struct Carried {
    /// Whether account is kept without a state folder, too.
    pub(super) is_kept: bool,
    store: Option<Arc<Store>>,
    loaded: Option<Loaded>,
    left: Option<Left>,
    is_closed: bool,
}

/// What a configuration goes on from. Nothing is taken from the last pipeline yet.
pub(super) struct State {
    store: Option<Arc<Store>>,
    loaded: Option<Loaded>,
    /// How long sinks were.
    pub(super) sinks: Vec<SinkState>,
}

impl Carried {
    /// Nothing. With `is_kept` another pipeline may come, whatever the configuration.
    pub(super) fn new(is_kept: bool) -> Carried {
        Carried {
            is_kept,
            store: None,
            loaded: None,
            left: None,
            is_closed: false,
        }
    }

    /// Opens the state folder of a configuration, unless it is the one that is open. What it says of
    /// files that this process has not read counts, too.
    ///
    /// # Errors
    /// As of [`Store::open`] and [`Store::load`].
    pub(super) fn open(&self, config: &Config) -> Result<State> {
        let mut state = State {
            store: self.store.clone(),
            loaded: self.loaded.clone(),
            sinks: Vec::new(),
        };
        let is_open = |store: &Arc<Store>| Some(store.folder()) == config.state_dir.as_deref();
        if !state.store.as_ref().is_some_and(is_open) {
            state.store = None;
            if let Some(folder) = &config.state_dir {
                let store = Store::open(folder)?;
                let found = store.load()?;
                state.store = Some(Arc::new(store));
                state.add(found);
            }
        }
        let own = state
            .loaded
            .as_ref()
            .and_then(|loaded| loaded.snapshot.sink);
        state.sinks.splice(..0, own);
        Ok(state)
    }

    /// Takes what the next pipeline begins with, once nothing can fail any more. It may come to have
    /// nothing newer where that `is_needed`.
    pub(super) fn begin(
        &mut self,
        state: State,
        is_needed: bool,
    ) -> (Option<Arc<Store>>, Option<Loaded>, Option<Left>) {
        self.store.clone_from(&state.store);
        self.loaded = if is_needed {
            state.loaded.clone()
        } else {
            None
        };
        (state.store, state.loaded, self.left.take())
    }

    /// Takes what the tail has left. Where the sink `is_closed` for good, nothing goes on.
    pub(super) fn end(&mut self, mut left: Option<Left>, is_closed: bool) {
        let loaded = left.as_mut().and_then(|left| left.loaded.take());
        self.loaded = loaded.or(self.loaded.take());
        self.left = left;
        self.is_closed = is_closed;
    }

    /// Takes what was acknowledged; what there was before holds where the pipeline did not come so
    /// far.
    pub(super) fn keep(&mut self, snapshot: Option<Snapshot>) {
        if let Some(snapshot) = snapshot {
            let alive_at = snapshot.alive_at.unwrap_or_else(SystemTime::now);
            self.loaded = Some(Loaded { snapshot, alive_at });
        }
    }

    /// Whether nothing can be shipped any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether something was read that nobody can read again, and is not shipped.
    pub(super) fn has_input(&self) -> bool {
        self.left.as_ref().is_some_and(Left::has_input)
    }
}

impl State {
    /// Adds what a state folder says.
    fn add(&mut self, found: Option<Loaded>) {
        let Some(found) = found else { return };
        self.sinks.extend(found.snapshot.sink);
        match &mut self.loaded {
            Some(loaded) => loaded.snapshot.add(found.snapshot),
            None => self.loaded = Some(found),
        }
    }
}
