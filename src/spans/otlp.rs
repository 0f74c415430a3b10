//! One trace in OpenTelemetry's JSON: numbers of 64 bits are texts, names of traces and spans are
//! hexadecimal.

use std::array;

use blake3::Hasher;
use serde_json::{Value, json};

use super::Times;
use super::exporter::Order;
use crate::release::ReleasePolicy;
use crate::types::{Epoch, Nanos, Sequence};

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_SERVER`.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;

/// A trace has so many spans at most.
const SPANS: usize = 6;

/// An order's way.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) history: u64,
    pub(super) sequence: Sequence,
    pub(super) epoch: Epoch,
    pub(super) order: Order,
    pub(super) policy: ReleasePolicy,
    pub(super) times: Times,
}

/// The names of a trace and its spans: a hash of what the command is on every node, so that each
/// can tell them again. Its term is part of it: what was released alone, and cut where another
/// node led, gives its sequence to another command. Collectors sample by names, and want them to
/// look random.
struct Names {
    trace: String,
    spans: [String; SPANS],
}

impl Names {
    fn new(&Trace { history, sequence, epoch, .. }: &Trace) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&history.to_le_bytes());
        hasher.update(&sequence.0.to_le_bytes());
        hasher.update(&epoch.0.to_le_bytes());
        let mut bytes = hasher.finalize_xof();
        let mut trace = [0; 16];
        bytes.fill(&mut trace);
        let spans = array::from_fn(|_| {
            let mut span = [0; 8];
            bytes.fill(&mut span);
            format!("{:016x}", u64::from_be_bytes(span))
        });
        Self { trace: format!("{:032x}", u128::from_be_bytes(trace)), spans }
    }
}

/// The body of a call: `ExportTraceServiceRequest`.
pub(super) fn body(trace: &Trace) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [text("service.name", "ringframe"), text("service.version", version)];
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{
            "scope": { "name": "ringframe", "version": version },
            "spans": spans(trace),
        }],
    }] })
    .to_string()
}

fn spans(trace: &Trace) -> Vec<Value> {
    let names = Names::new(trace);
    let Times { ingress, journaled, synced, replicated, applied, released } = trace.times;
    let mut root = span(&names, 0, "order", ingress, released);
    root["kind"] = SERVER.into();
    root["attributes"] = attributes(trace).into();
    let steps = [
        ("journal", ingress, Some(journaled)),
        ("sync", journaled, synced),
        ("replicate", journaled, replicated),
        ("apply", journaled, Some(applied)),
        ("release", trace.times.ready(), Some(released)),
    ];
    let mut spans = vec![root];
    for (index, (name, from, to)) in (1..).zip(steps) {
        let Some(to) = to else { continue };
        let mut child = span(&names, index, name, from, to);
        child["kind"] = INTERNAL.into();
        child["parentSpanId"] = names.spans[0].as_str().into();
        spans.push(child);
    }
    spans
}

fn span(names: &Names, index: usize, name: &str, from: Nanos, to: Nanos) -> Value {
    json!({
        "traceId": names.trace,
        "spanId": names.spans[index],
        "name": name,
        "startTimeUnixNano": from.0.to_string(),
        "endTimeUnixNano": to.0.to_string(),
    })
}

fn attributes(trace: &Trace) -> Vec<Value> {
    let Trace { sequence, epoch, order, policy, .. } = trace;
    let Order { session, token, outcome } = order;
    vec![
        number("ringframe.sequence", sequence.0),
        number("ringframe.epoch", epoch.0.into()),
        number("ringframe.session", (*session).into()),
        text("ringframe.token", token),
        text("ringframe.outcome", outcome),
        text("ringframe.release", &policy.to_string()),
    ]
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}
