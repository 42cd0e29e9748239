//! The codec's hot path: what one message costs to recognise, to decode in general, and to write.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wire::fast::{self, DeliverTemplate, PublishTemplate, Scan};
use wire::{BasicProperties, ContentHeader, FieldTable, FrameKind, Method, TableRef, decode_frame};

const FRAME_BYTES_MAX: usize = 131_072;
/// Messages per iteration: what one read of a busy socket brings.
const BATCH: usize = 64;
const SIZES: [usize; 2] = [16, 1024];

/// A batch of publishes as a client sends them.
fn publishes(size: usize) -> Vec<u8> {
    let properties = BasicProperties {
        delivery_mode: Some(1),
        ..BasicProperties::default()
    };
    let template = PublishTemplate::new(1, "", "queue-1", false, &properties, size, FRAME_BYTES_MAX);
    let mut out = Vec::new();
    for _ in 0..BATCH {
        template.append(&mut out);
    }
    out
}

fn scan_publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan_publish");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let input = publishes(size);
        group.bench_with_input(BenchmarkId::from_parameter(size), &input, |b, input| {
            b.iter(|| {
                let (mut rest, mut body_bytes) = (black_box(&input[..]), 0);
                while let Scan::Complete(publish) = fast::scan_publish(rest, FRAME_BYTES_MAX) {
                    body_bytes += publish.body.len();
                    rest = &rest[publish.len..];
                }
                assert_eq!((body_bytes, rest.len()), (size * BATCH, 0));
            });
        });
    }
    group.finish();
}

/// The same input through the general decoder: three frames, the method's arguments, the content header.
fn decode_publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode_publish");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let input = publishes(size);
        group.bench_with_input(BenchmarkId::from_parameter(size), &input, |b, input| {
            b.iter(|| {
                let (mut rest, mut body_bytes, mut announced, mut key_bytes) =
                    (black_box(&input[..]), 0, 0, 0);
                while let Some(frame) = decode_frame(rest, FRAME_BYTES_MAX).expect("valid frames") {
                    match frame.kind {
                        FrameKind::Method => match Method::decode(frame.payload) {
                            Ok(Method::BasicPublish { routing_key, .. }) => key_bytes += routing_key.len(),
                            other => panic!("not a publish: {other:?}"),
                        },
                        FrameKind::Header => {
                            announced += ContentHeader::decode(frame.payload)
                                .expect("valid header")
                                .body_size as usize;
                        }
                        FrameKind::Body => body_bytes += frame.payload.len(),
                        FrameKind::Heartbeat => {}
                    }
                    rest = &rest[frame.encoded_len()..];
                }
                assert_eq!(
                    (body_bytes, announced, key_bytes),
                    (size * BATCH, size * BATCH, 7 * BATCH)
                );
            });
        });
    }
    group.finish();
}

fn encode_deliver(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode_deliver");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let input = publishes(size);
        let Scan::Complete(publish) = fast::scan_publish(&input, FRAME_BYTES_MAX) else {
            panic!("a valid publish")
        };
        let template = DeliverTemplate::new(1, "consumer-1");
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                out.clear();
                for tag in 0..BATCH as u64 {
                    let (header, body) = (black_box(publish.header), black_box(publish.body));
                    template.encode(
                        &mut out,
                        tag,
                        false,
                        b"",
                        b"queue-1",
                        header,
                        body,
                        FRAME_BYTES_MAX,
                    );
                }
                black_box(&out);
            });
        });
        let (mut rest, mut tags) = (&out[..], Vec::new());
        while let Scan::Complete(deliver) = fast::scan_deliver(rest, FRAME_BYTES_MAX) {
            assert_eq!(
                (deliver.consumer_tag, deliver.body),
                (&b"consumer-1"[..], publish.body)
            );
            tags.push(deliver.delivery_tag);
            rest = &rest[deliver.len..];
        }
        assert!(rest.is_empty() && (tags.is_empty() || tags.iter().copied().eq(0..BATCH as u64)));
    }
    group.finish();
}

fn scan_deliver(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan_deliver");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let input = publishes(size);
        let Scan::Complete(publish) = fast::scan_publish(&input, FRAME_BYTES_MAX) else {
            panic!("a valid publish")
        };
        let (template, mut deliveries) = (DeliverTemplate::new(1, "consumer-1"), Vec::new());
        for tag in 1..=BATCH as u64 {
            template.encode(
                &mut deliveries,
                tag,
                false,
                b"",
                b"queue-1",
                publish.header,
                publish.body,
                FRAME_BYTES_MAX,
            );
        }
        group.bench_with_input(BenchmarkId::from_parameter(size), &deliveries, |b, input| {
            b.iter(|| {
                let (mut rest, mut tags) = (black_box(&input[..]), 0);
                while let Scan::Complete(deliver) = fast::scan_deliver(rest, FRAME_BYTES_MAX) {
                    tags += deliver.delivery_tag as usize;
                    rest = &rest[deliver.len..];
                }
                assert_eq!((tags, rest.len()), (BATCH * (BATCH + 1) / 2, 0));
            });
        });
    }
    group.finish();
}

fn ack(c: &mut Criterion) {
    let mut group = c.benchmark_group("ack");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut out = Vec::new();
    group.bench_function("encode", |b| {
        b.iter(|| {
            out.clear();
            for tag in 1..=BATCH as u64 {
                fast::encode_ack(&mut out, 1, black_box(tag), false);
            }
            black_box(&out);
        });
    });
    let mut acks = Vec::new();
    for tag in 1..=BATCH as u64 {
        fast::encode_ack(&mut acks, 1, tag, false);
    }
    assert!(out.is_empty() || out == acks);
    group.bench_function("scan", |b| {
        b.iter(|| {
            let (mut rest, mut tags) = (black_box(&acks[..]), 0);
            while let Scan::Complete(ack) = fast::scan_ack(rest) {
                tags += ack.delivery_tag as usize;
                rest = &rest[ack.len..];
            }
            assert_eq!((tags, rest.len()), (BATCH * (BATCH + 1) / 2, 0));
        });
    });
    group.finish();
}

fn properties(c: &mut Criterion) {
    let mut headers = FieldTable::new();
    headers.insert("x-tenant", "acme");
    headers.insert("x-attempt", 3);
    let headers = headers.to_bytes();
    let few = BasicProperties {
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    let many = BasicProperties {
        content_type: Some("application/json"),
        headers: Some(TableRef::parse(&headers).expect("an encoded table is valid")),
        correlation_id: Some("6f1c1d3e-1c5a-4e1b-9a55-0f5d5f3b9f10"),
        message_id: Some("0b9c2f64-61a3-4f0e-8f0a-8a3c4f7a2a11"),
        timestamp: Some(1_767_312_000),
        ..few
    };
    let mut group = c.benchmark_group("properties");
    for (name, properties) in [("one", few), ("six with headers", many)] {
        let mut payload = vec![0; 12];
        properties.encode(&mut payload);
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            b.iter(|| {
                let decoded = BasicProperties::decode(black_box(&payload[12..])).expect("valid properties");
                assert_eq!(decoded.timestamp, properties.timestamp);
                decoded
            });
        });
        group.bench_function(BenchmarkId::new("delivery_mode", name), |b| {
            b.iter(|| assert_eq!(wire::delivery_mode(black_box(&payload)), 2));
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    scan_publish,
    decode_publish,
    encode_deliver,
    scan_deliver,
    ack,
    properties
);
criterion_main!(benches);
