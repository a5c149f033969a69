//! Traces: the pipeline's spans, on their way to a collector of OpenTelemetry's.
//!
//! Where no endpoint is named nothing is set up, and a span costs nothing. Where one is, spans wait in a
//! bounded queue for a thread of their own; what finds no room there is dropped, and so is what the
//! collector does not take in time. No event ever waits for a span.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};
use trailsift_pipeline::SPANS;

/// The variables of the specification that name a collector, the more special one first.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// How long spans that still wait have to leave, once everything else is done.
const FLUSH: Duration = Duration::from_secs(2);

/// A layer that takes the pipeline's spans.
pub(crate) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Sends spans until it is told to end.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

/// Sets up the way to the collector, if the environment names one. Nothing is contacted yet.
///
/// # Errors
/// If the endpoint is no URL, or another variable of the specification makes no sense.
pub(crate) fn start() -> Result<Option<(SpanLayer, Traces)>, String> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_disabled =
        std::env::var("OTEL_SDK_DISABLED").is_ok_and(|it| it.eq_ignore_ascii_case("true"));
    if is_disabled || !ENDPOINTS.iter().any(is_set) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
    let exporter = exporter.map_err(|error| error.to_string())?;
    let mut resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !names_the_service() {
        resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(SPANS, LevelFilter::INFO));
    Ok(Some((layer.boxed(), Traces(provider))))
}

/// Whether the environment says what this service is called among others.
fn names_the_service() -> bool {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty());
    let attributes = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    named || attributes.split(',').any(|pair| pair.trim().starts_with("service.name="))
}

impl Traces {
    /// Gives what still waits a moment to leave.
    pub(crate) fn end(self) {
        match self.0.shutdown_with_timeout(FLUSH) {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => {}
            Err(error) => {
                let error = error.to_string();
                tracing::warn!(error = %error.escape_debug(), "traces cannot be sent to their end");
            }
        }
    }
}
