//! The publish path: from a decoded publish to its queues, with returns, confirms and back-pressure.
//!
//! Consecutive publishes with the same method frame form a run: one route lookup (usually a `memcmp`), one
//! lock per queue, one cumulative confirm.
//!
//! Back-pressure: a message that some full ring did not take is kept, in order, as a [`BlockedPublish`], and
//! what follows on its channel is parked as raw frames, many at a time, and not looked at before that has found
//! its place. Acknowledgements never wait behind it; neither do consumes, cancels, qos and gets while only
//! publishes are parked. The connection stops reading when it holds nothing that could free the ring, or when
//! the memory budget is spent.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;
use wire::fast::{self, PublishScan, Scan};
use wire::{BasicProperties, Method, ReplyCode, delivery_mode, property_flags};

use super::channel::{BlockedPublish, Channel, Confirm, Confirms, Route};
use super::failure::Failure;
use super::inspect::INSPECTED_FLAGS;
use super::replies::is_reply_key;
use super::task::Connection;
use crate::auth::{Operation, Resource};
use crate::observe::{ReactorCounts, Stage};
use crate::queue::{Placed, Publisher};
use crate::record::{Content, RecordFields, join_names};

/// Most messages in one run.
const RUN_MESSAGES_MAX: usize = 1024;
/// One look-up of a route in so many is timed, the first among them.
const LOOKUP_SAMPLE_EVERY: u64 = 16;

impl Connection {
    /// Publishes `first` and the complete publishes with the same method frame that follow it in `input`;
    /// returns how many bytes of `input` that were. What follows a message that found no room is left.
    pub(super) fn publish_run(&mut self, first: PublishScan<'_>, input: &[u8]) -> Result<usize, Failure> {
        let mut run: SmallVec<[Content<'_>; 64]> = SmallVec::new();
        let mut consumed = first.len;
        let mut uniform = true;
        run.push(Content::from_frames(first.frames, first.header.len()));
        while run.len() < RUN_MESSAGES_MAX {
            match fast::scan_publish(&input[consumed..], self.frame_bytes_max) {
                Scan::Complete(next)
                    if next.channel == first.channel
                        && next.method == first.method
                        && next.body.len() as u64 <= self.broker.config.message_bytes_max
                        && (wire::is_like_sound_header(next.header, first.header) || {
                            uniform = false;
                            wire::check_content_header(next.header).is_ok()
                        }) =>
                {
                    consumed += next.len;
                    run.push(Content::from_frames(next.frames, next.header.len()));
                }
                _ => break,
            }
        }
        let taken = self.publish(first.channel, first.method, &run, uniform)?;
        if taken == run.len() {
            return Ok(consumed);
        }
        // The same before each content.
        let method_frame_bytes = first.len - first.frames.len();
        let bytes = |content: &Content<'_>| method_frame_bytes + content.frames().len();
        Ok(run[..taken].iter().map(bytes).sum())
    }

    /// Publishes messages of one channel that share a method frame, the first of them at least; how many that were.
    /// `uniform`: their content headers have the same properties, so that one look tells what all of them ask for (see
    /// [`wire::is_like_sound_header`]).
    pub(super) fn publish(
        &mut self,
        id: u16,
        method: &[u8],
        run: &[Content<'_>],
        uniform: bool,
    ) -> Result<usize, Failure> {
        let (route, in_transaction) = self.route(id, method)?;
        let looked_at = if uniform { &run[..1] } else { run };
        let flags = |flags, content: &Content<'_>| flags | property_flags(content.header());
        let inspected = looked_at.iter().fold(0, flags) & INSPECTED_FLAGS != 0;
        if inspected || route.by_headers {
            self.publish_inspected(id, &route, run, in_transaction)?;
        } else if in_transaction {
            self.hold_publishes(id, &route, run)?;
        } else {
            return self.place_some(id, &route, run, uniform);
        }
        Ok(run.len())
    }

    #[inline]
    pub(super) fn place_or_hold(
        &mut self,
        id: u16,
        route: &Rc<Route>,
        run: &[Content<'_>],
        uniform: bool,
        in_transaction: bool,
    ) -> Result<(), Failure> {
        if in_transaction {
            return self.hold_publishes(id, route, run);
        }
        self.place(id, route, run, uniform)
    }

    /// The route of a publish method, from the channel's memory or from the topology; and whether the channel is
    /// transactional.
    #[inline]
    fn route(&mut self, id: u16, method: &[u8]) -> Result<(Rc<Route>, bool), Failure> {
        let generation = self.vhost().generation();
        let channel = self.channels.get_mut(&id).expect("publishing on an open channel");
        let in_transaction = channel.tx.is_some();
        if let Some(route) = channel.routes.get(method, generation) {
            return Ok((route, in_transaction));
        }
        let lookups = &self.reactor.counts().route_lookups;
        lookups.add(1);
        let started = (lookups.get() % LOOKUP_SAMPLE_EVERY == 1).then(Instant::now);
        let route = self.look_up(id, method, generation)?;
        if let Some(started) = started {
            let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.broker.tallies.stages.record(Stage::Route, us);
        }
        Ok((route, in_transaction))
    }

    /// A route from the topology, for what a publish method says; the channel remembers it.
    fn look_up(&mut self, id: u16, method: &[u8], generation: u64) -> Result<Rc<Route>, Failure> {
        let Method::BasicPublish {
            exchange,
            routing_key,
            mandatory,
            immediate,
        } = Method::decode(method)?
        else {
            unreachable!("only basic.publish is published");
        };
        if immediate {
            return Err(Failure::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        self.check_access(Operation::Write, Resource::Exchange(exchange))?;
        let (queues, by_headers) = {
            let topology = self.vhost().topology.read();
            let by_headers = topology.routes_by_headers(exchange);
            let by_headers = by_headers || is_reply_key(exchange, routing_key);
            // Routed even when the headers decide: a missing or internal exchange is refused here.
            let unknown = BasicProperties::default();
            (topology.route(exchange, routing_key, &unknown)?, by_headers)
        };
        self.check_topic_access(Operation::Write, exchange, routing_key)?;
        let route = Rc::new(Route {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            names: join_names(exchange, routing_key),
            mandatory,
            replied: false,
            queues: if by_headers {
                SmallVec::new()
            } else {
                queues.into_iter().collect()
            },
            by_headers,
        });
        let channel = self.channel_mut(id);
        channel.routes.insert(method, generation, &route);
        Ok(route)
    }

    /// Appends a run to every queue of its route. What finds no room waits.
    pub(super) fn place(
        &mut self,
        id: u16,
        route: &Rc<Route>,
        run: &[Content<'_>],
        uniform: bool,
    ) -> Result<(), Failure> {
        let mut taken = 0;
        while taken < run.len() {
            taken += self.place_some(id, route, &run[taken..], uniform)?;
        }
        Ok(())
    }

    /// As `place`, but of what no queue has room for only the first message has to wait; how many were taken. All of them
    /// where something waits already, because they must not overtake it.
    fn place_some(
        &mut self,
        id: u16,
        route: &Rc<Route>,
        run: &[Content<'_>],
        uniform: bool,
    ) -> Result<usize, Failure> {
        let Connection {
            channels,
            link,
            reactor,
            confirming,
            ..
        } = self;
        let channel = channels.get_mut(&id).expect("publishing on an open channel");
        let keeps = route.queues.iter().any(|queue| queue.keeps()) && run.iter().any(is_persistent);
        if keeps && let Some(reason) = self.broker.store.poison_reason() {
            return Err(log_failed(reason));
        }
        let now_ms = reactor.now_ms();
        let flags = uniform.then(|| run[0].record_flags());
        let first = channel.confirms.as_ref().map(|confirms| confirms.published + 1);
        let is_behind = !channel.blocked.is_empty();
        let offered = if is_behind { &[] } else { &route.queues[..] };
        let mut placed_by_all = if is_behind { 0 } else { run.len() };
        let mut placed_by_any = if offered.is_empty() { run.len() } else { 0 };
        let mut placed_by = SmallVec::<[usize; 4]>::new();
        for queue in offered {
            let fields = run.iter().map(|&content| RecordFields {
                timestamp_ms: now_ms,
                flags: flags.unwrap_or_else(|| content.record_flags()),
                names: &route.names,
                content,
            });
            let published = queue.publish(
                fields,
                Publisher::Link(link),
                first.is_some(),
                Some(reactor.now_us()),
            );
            let placed = match published.placed {
                Placed::All => run.len(),
                Placed::First(count) => count,
            };
            placed_by.push(placed);
            placed_by_all = placed_by_all.min(placed);
            placed_by_any = placed_by_any.max(placed);
            if let Some((first, confirms)) = first.zip(channel.confirms.as_mut()) {
                for &position in &published.refused {
                    confirms.refuse(first + position as u64);
                }
                if keeps && queue.keeps() && placed > 0 {
                    confirms.keep(first, queue, published.next);
                }
            }
            reactor.mark_dirty(queue);
        }
        // One message is to be called back for.
        let taken = placed_by_any.max(placed_by_all + 1).min(run.len());
        channel.count_published(reactor.counts(), route, taken as u64);
        if let Some(confirms) = &mut channel.confirms {
            confirms.published += taken as u64;
            confirming.push(id);
        }
        let held = channel.block_rest(route, &run[..taken], placed_by_all, &placed_by);
        if held > 0 {
            self.blocked = true;
            self.hold(held);
            self.tell_blocked();
        }
        if route.queues.is_empty() && route.mandatory {
            for content in run {
                self.return_unroutable(id, route, content);
            }
        }
        Ok(taken)
    }

    /// `basic.return` for a mandatory message without a queue.
    fn return_unroutable(&mut self, id: u16, route: &Route, content: &Content<'_>) {
        let returned = Method::BasicReturn {
            reply_code: ReplyCode::NoRoute.code(),
            reply_text: ReplyCode::NoRoute.name(),
            exchange: &route.exchange,
            routing_key: &route.routing_key,
        };
        let mut outbound = self.link.outbound();
        let frame_bytes_max = outbound.frame_bytes_max;
        returned.encode(id, &mut outbound.pending);
        wire::encode_header_frame(&mut outbound.pending, id, content.header());
        wire::encode_body_frames(&mut outbound.pending, id, content.body(), frame_bytes_max);
        drop(outbound);
        self.reactor.mark_flush(&self.link);
    }

    /// Confirms, once per channel, what this input has published and what needs no further waiting.
    pub(super) fn send_confirms(&mut self) {
        self.confirm(false);
    }

    /// A log has kept messages of this connection, or has failed.
    pub(super) fn on_kept(&mut self) -> Result<(), Failure> {
        let waits = |channel: &Channel| channel.confirms.as_ref().is_some_and(Confirms::is_unkept);
        let unkept = self.channels.iter().filter(|(_, channel)| waits(channel));
        self.confirming.extend(unkept.map(|(&id, _)| id));
        if let Some(reason) = self.broker.store.poison_reason()
            && !self.confirming.is_empty()
        {
            return Err(log_failed(reason));
        }
        self.confirm(true);
        Ok(())
    }

    fn confirm(&mut self, called: bool) {
        if self.confirming.is_empty() {
            return;
        }
        self.confirming.sort_unstable();
        self.confirming.dedup();
        let mut decided: SmallVec<[(u16, Confirm); 4]> = SmallVec::new();
        for id in self.confirming.drain(..) {
            let sends = |channel: &&mut Channel| !channel.closing && channel.tx.is_none();
            let Some(channel) = self.channels.get_mut(&id).filter(sends) else {
                continue;
            };
            let blocked = channel.blocked.len();
            let Some(confirms) = &mut channel.confirms else {
                continue;
            };
            confirms.settle_kept(&self.link, called);
            let before = confirms.confirmed;
            decided.extend(confirms.take(blocked).into_iter().map(|confirm| (id, confirm)));
            let confirmed = confirms.confirmed - before;
            channel.observed.confirmed.add(confirmed);
            self.reactor.counts().confirmed.add(confirmed);
        }
        if decided.is_empty() {
            return;
        }
        let mut outbound = self.link.outbound();
        for (id, confirm) in decided {
            match confirm {
                Confirm::Ack { through } => fast::encode_ack(&mut outbound.pending, id, through, true),
                Confirm::Nack { number } => {
                    let nack = Method::BasicNack {
                        delivery_tag: number,
                        multiple: false,
                        requeue: false,
                    };
                    nack.encode(id, &mut outbound.pending);
                }
            }
        }
        drop(outbound);
        self.reactor.mark_flush(&self.link);
    }

    /// Places what full queues had refused, then reads what was parked behind it.
    pub(super) fn retry_blocked(&mut self) -> Result<(), Failure> {
        let blocked: Vec<u16> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.is_blocked())
            .map(|(&id, _)| id)
            .collect();
        for id in blocked {
            // The first publish would only be parked again, with all that is behind it.
            if self.alarmed && self.channels[&id].waits_for_the_alarm() {
                continue;
            }
            if !self.send_deferred(id) || !self.retry_channel(id) {
                continue;
            }
            match self.finish_commit(id) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(failure) => {
                    self.fail_channel(id, failure, Method::TxCommit)?;
                    continue;
                }
            }
            self.unpark(id)?;
        }
        self.blocked = self.channels.values().any(Channel::is_blocked);
        self.charge_held();
        self.review_overdraft();
        self.send_confirms();
        Ok(())
    }

    /// Retries one channel's blocked publishes, oldest first; true when none is left.
    fn retry_channel(&mut self, id: u16) -> bool {
        loop {
            let Some(channel) = self.channels.get(&id) else {
                return false;
            };
            let Some(bytes) = channel.blocked.front().map(BlockedPublish::bytes) else {
                return true;
            };
            // Its own memory must not be what it waits for.
            self.release_held(bytes);
            if !self.retry_oldest(id) {
                self.hold(bytes);
                return false;
            }
        }
    }

    /// Places a channel's oldest blocked publish; false when it has to wait on.
    fn retry_oldest(&mut self, id: u16) -> bool {
        let Connection {
            channels,
            link,
            reactor,
            confirming,
            ..
        } = self;
        let Some(channel) = channels.get_mut(&id) else {
            return false;
        };
        let number = (channel.blocked.len() as u64).saturating_sub(1);
        let Some(publish) = channel.blocked.front_mut() else {
            return false;
        };
        let now_ms = reactor.now_ms();
        let mut remaining = std::mem::take(&mut publish.remaining);
        let keeps = is_persistent(&publish.content());
        remaining.retain(|queue| {
            let fields = RecordFields::new(now_ms, &publish.route.names, publish.content());
            let urgent = channel.confirms.is_some();
            let fields = std::iter::once(fields);
            let published = queue.publish(fields, Publisher::Link(link), urgent, None);
            let placed = published.placed == Placed::All;
            if let Some(confirms) = channel
                .confirms
                .as_mut()
                .filter(|_| !published.refused.is_empty())
            {
                confirms.refuse(confirms.published - number);
            }
            if placed {
                reactor.mark_dirty(queue);
                if let Some(confirms) = channel.confirms.as_mut().filter(|_| keeps && queue.keeps()) {
                    confirms.keep(confirms.published - number, queue, published.next);
                }
            }
            !placed
        });
        publish.remaining = remaining;
        if !publish.remaining.is_empty() {
            return false;
        }
        channel.blocked.pop_front();
        if channel.confirms.is_some() {
            confirming.push(id);
        }
        true
    }
}

impl Channel {
    /// Counts a run of publishes that is about to be placed.
    fn count_published(&self, reactor: &ReactorCounts, route: &Route, count: u64) {
        let observed = &self.observed;
        observed.published.add(count);
        reactor.received.add(count);
        if self.confirms.is_some() && self.tx.is_none() {
            observed.published_confirm.add(count);
            reactor.received_confirm.add(count);
        }
        if !route.queues.is_empty() {
            reactor.routed.add(count * route.queues.len() as u64);
        } else if route.mandatory {
            observed.returned.add(count);
            reactor.unroutable_returned.add(count);
        } else if !route.replied {
            observed.dropped.add(count);
            reactor.unroutable_dropped.add(count);
        }
    }

    /// Keeps the messages of a run from the one at `first` on for the queues that have not taken them: of `placed_by` each
    /// says how many it has, those after that none. How many bytes are kept.
    fn block_rest(
        &mut self,
        route: &Rc<Route>,
        run: &[Content<'_>],
        first: usize,
        placed_by: &[usize],
    ) -> usize {
        let mut bytes = 0;
        for (position, content) in run.iter().enumerate().skip(first) {
            let placed = placed_by.iter().copied().chain(std::iter::repeat(0));
            let late = route.queues.iter().zip(placed);
            let late = late.filter(|&(_, placed)| position >= placed);
            let publish = BlockedPublish {
                route: Rc::clone(route),
                frames: content.frames().to_vec(),
                header_len: content.header_len(),
                remaining: late.map(|(queue, _)| Arc::clone(queue)).collect(),
            };
            bytes += publish.bytes();
            self.blocked.push_back(publish);
        }
        bytes
    }
}

fn is_persistent(content: &Content<'_>) -> bool {
    delivery_mode(content.header()) == 2
}

/// Nothing persistent is taken any more; see [`crate::store::LogThread`].
pub(super) fn log_failed(reason: &str) -> Failure {
    Failure::new(
        ReplyCode::InternalError,
        format!("the message log has failed, nothing is confirmed any more: {reason}"),
    )
}
