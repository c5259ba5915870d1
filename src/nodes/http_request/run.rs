//! Runs the requests of one attempt: as many at once as allowed, in a given rhythm, all of them even if some fail.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{
    draft::{Draft, draft},
    failure,
    pagination::{Page, Pagination, number_key},
    params::{Params, Rate},
    response::{self, Answer},
};
use crate::{
    auth::egress::EgressRequest,
    clock,
    model::{
        error::{NodeError, codes},
        item::Item,
        limits::{ITEMS_MAX, OUTPUT_BYTES_MAX},
    },
    nodes::{
        context::EffectContext,
        effects::of_egress,
        services::{Credential, Services},
    },
    runtimes::scope::Scope,
};

/// Sends the requests of all items that no earlier attempt has done.
///
/// Errors: the failures of the items as one, after every item had its turn; `output_limit` and `item_limit` at once.
pub(super) async fn run(params: &Arc<Params>, timeout: Duration, ctx: EffectContext) -> Result<Vec<Item>, NodeError> {
    let credential = match &ctx.credential {
        Some(name) => Some(ctx.services.credentials.get(ctx.workspace, name).await?),
        None => None,
    };
    let mut run = Run {
        params: Arc::clone(params),
        timeout,
        credential,
        pacer: params.rate.map(Pacer::new),
        results: BTreeMap::new(),
        failures: Vec::new(),
        output_bytes: 0,
        output_items: 0,
        ctx,
    };
    run.send_all().await?;
    run.finish()
}

/// The state of one attempt.
struct Run {
    params: Arc<Params>,
    timeout: Duration,
    credential: Option<Credential>,
    pacer: Option<Pacer>,
    ctx: EffectContext,
    /// Output items by the index of the input item.
    results: BTreeMap<usize, Vec<Item>>,
    failures: Vec<(usize, NodeError)>,
    output_bytes: usize,
    output_items: usize,
}

/// An item on its way through its pages.
struct Job {
    index: usize,
    page: u32,
    items: Vec<Item>,
}

/// A request of a job.
enum Request {
    First(Draft),
    Further(EgressRequest),
}

/// What came of a request.
struct Fetched {
    job: Job,
    result: Result<(EgressRequest, Answer), NodeError>,
}

impl Run {
    async fn send_all(&mut self) -> Result<(), NodeError> {
        for (index, item) in std::mem::take(&mut self.ctx.done) {
            self.results.insert(index_of(index), vec![item]);
        }
        let total = self.items().len();
        let mut waiting = (0..total).filter(|index| !self.results.contains_key(index)).collect::<Vec<_>>().into_iter();
        let mut in_flight: FuturesUnordered<BoxFuture<'static, Fetched>> = FuturesUnordered::new();
        loop {
            while in_flight.len() < self.params.concurrency {
                let Some(index) = waiting.next() else { break };
                match self.draft(index) {
                    Ok(draft) => in_flight.push(self.fetch(Job { index, page: 0, items: Vec::new() }, Request::First(draft))),
                    Err(error) => self.failures.push((index, error)),
                }
            }
            let Some(Fetched { job, result }) = in_flight.next().await else { return Ok(()) };
            let index = job.index;
            match result {
                Ok((request, answer)) => {
                    if let Some((job, request)) = self.take(job, &request, answer)? {
                        in_flight.push(self.fetch(job, Request::Further(request)));
                    }
                }
                Err(error) => self.failures.push((index, error)),
            }
        }
    }

    fn draft(&mut self, index: usize) -> Result<Draft, NodeError> {
        let (key, trace) = (self.ctx.idempotency_key(index), self.ctx.trace.map(|trace| trace.child(clock::chance())));
        let draft = draft(&self.params, &mut self.ctx.pure(), index, key, self.credential.as_ref())?;
        Ok(draft.in_trace(trace))
    }

    /// One exchange, as a future of its own.
    fn fetch(&mut self, job: Job, request: Request) -> BoxFuture<'static, Fetched> {
        let start_at = self.pacer.as_mut().map(|pacer| pacer.next(Instant::now()));
        let (params, services, timeout) = (Arc::clone(&self.params), Arc::clone(&self.ctx.services), self.timeout);
        async move {
            if let Some(start_at) = start_at {
                tokio::time::sleep_until(start_at).await;
            }
            let result = exchange(&params, &services, timeout, request).await;
            Fetched { job, result }
        }
        .boxed()
    }

    /// Takes an answer in. Gives the job back if it goes on with another page.
    fn take(&mut self, mut job: Job, request: &EgressRequest, answer: Answer) -> Result<Option<(Job, EgressRequest)>, NodeError> {
        self.output_bytes += answer.bytes;
        if self.output_bytes > OUTPUT_BYTES_MAX {
            let message = format!("the answers are larger than {OUTPUT_BYTES_MAX} bytes: request fewer items in one run");
            return Err(NodeError::permanent(codes::OUTPUT_LIMIT, message));
        }
        let params = Arc::clone(&self.params);
        let next = match &params.pagination {
            Some(pagination) => match self.take_page(&mut job, pagination, request, answer) {
                Ok(next) => next,
                Err(error) => {
                    self.failures.push((job.index, error));
                    return Ok(None);
                }
            },
            None => {
                let item = self.item(job.index, answer);
                // With one item per input item, a later attempt can take it over.
                self.ctx
                    .progress
                    .done(u32::try_from(job.index).expect("a node run has fewer items than ITEMS_MAX"), item.clone());
                job.items.push(item);
                None
            }
        };
        if self.output_items + job.items.len() > ITEMS_MAX {
            let message = format!("the pages have more than {ITEMS_MAX} items");
            return Err(NodeError::permanent(codes::ITEM_LIMIT, message));
        }
        if let Some(request) = next {
            job.page += 1;
            return Ok(Some((job, request)));
        }
        self.output_items += job.items.len();
        self.results.insert(job.index, job.items);
        Ok(None)
    }

    /// Takes one page into the job and answers the request of the next one.
    fn take_page(
        &mut self,
        job: &mut Job,
        pagination: &Pagination,
        request: &EgressRequest,
        answer: Answer,
    ) -> Result<Option<EgressRequest>, NodeError> {
        let view = Item::from_value(answer.full());
        let values = pagination.items_of(&answer.body)?;
        let item_count = values.as_ref().map(Vec::len);
        match values {
            Some(values) => job.items.extend(values.into_iter().map(|value| self.ctx.pure().derive(job.index, value))),
            None => job.items.push(self.item(job.index, answer)),
        }
        let page = Page { number: job.page, request, item_count };
        let mut next = pagination.next(&page, |param| {
            let items = self.ctx.inputs.first().map_or(&[][..], |input| &input.items);
            let scope = Scope {
                item: Some(&view),
                item_index: job.index,
                items,
                run_index: self.ctx.attempt.run,
                outputs: &self.ctx.outputs,
                data: &self.ctx.data,
                now_ms: self.ctx.now_ms,
            };
            param.evaluate(&scope, &mut self.ctx.guest).map_err(|error| error.into_node_error(job.index))
        })?;
        if let (Some(next), Some(header)) = (&mut next, self.params.idempotency_header()) {
            number_key(next, header, &self.ctx.idempotency_key(job.index), job.page + 1);
        }
        Ok(next)
    }

    fn item(&mut self, index: usize, answer: Answer) -> Item {
        let binary = answer.binary.clone().map(|blob| BTreeMap::from([("data".to_owned(), blob)]));
        let json = answer.into_json(self.params.response);
        Item { binary, ..self.ctx.pure().derive(index, json) }
    }

    fn items(&self) -> &[Item] {
        self.ctx.inputs.first().map_or(&[], |input| &input.items)
    }

    fn finish(self) -> Result<Vec<Item>, NodeError> {
        if !self.failures.is_empty() {
            let total = self.items().len();
            return Err(failure::of_items(self.failures, total));
        }
        Ok(self.results.into_values().flatten().collect())
    }
}

async fn exchange(
    params: &Params,
    services: &Services,
    timeout: Duration,
    request: Request,
) -> Result<(EgressRequest, Answer), NodeError> {
    let blobs = &*services.blobs;
    let request = match request {
        Request::First(draft) => draft.finish(blobs, timeout, params.follow_redirects).await?,
        Request::Further(request) => request,
    };
    let response = services.egress.send(request.clone()).await.map_err(|error| of_egress(&error))?;
    if !params.never_error
        && let Some(error) = failure::of_status(response.status(), response.headers(), clock::now_ms())
    {
        return Err(error);
    }
    let answer = response::read(response, params.response, blobs).await?;
    Ok((request, answer))
}

fn index_of(index: u32) -> usize {
    usize::try_from(index).expect("usize has at least 32 bits")
}

/// Spaces starts evenly.
struct Pacer {
    interval: Duration,
    next: Option<Instant>,
}

impl Pacer {
    fn new(rate: Rate) -> Self {
        Self { interval: Duration::from_millis(rate.per.0) / rate.requests.max(1), next: None }
    }

    /// The start of the next request; it takes that place.
    fn next(&mut self, now: Instant) -> Instant {
        let start_at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(start_at + self.interval);
        start_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::duration::DurationMs;

    #[test]
    fn spaces_starts_and_does_not_catch_up() {
        let mut pacer = Pacer::new(Rate { requests: 10, per: DurationMs(1_000) });
        let start = Instant::now();
        let step = Duration::from_millis(100);
        assert_eq!([pacer.next(start), pacer.next(start), pacer.next(start)], [start, start + step, start + 2 * step]);
        let later = start + Duration::from_secs(60);
        assert_eq!([pacer.next(later), pacer.next(later)], [later, later + step]);
    }
}
