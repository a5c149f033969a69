//! S3, Kinesis and Firehose: on answers written by hand, and on LocalStack and moto behind a proxy that
//! goes wrong as told.

mod buckets;
mod firehose;
mod kinesis;
mod lake;
mod s3;
mod streams;
mod support;
