//! SQS, SNS, EventBridge and CloudWatch Logs: on answers written by hand, and on LocalStack behind a
//! proxy that goes wrong as told.

mod answers;
mod blame;
mod localstack;
mod requests;
mod support;
mod wire;
