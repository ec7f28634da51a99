//! The parts that every Lambda function of this project needs: the fields of an invocation for its log lines, the start
//! of logging, the environment's errors, and the report that the function cannot start.

pub mod environment;
pub mod init_error;
pub mod invocation;
pub mod log;
pub mod metrics;
