//! A deployment in memory.

use std::time::Duration;

use hydration::error::{Fault, FaultKind};

use crate::ports::{Deployment, StreamMapping};

#[derive(Debug, Default)]
pub struct InMemoryDeployment {
    pub mappings: Vec<StreamMapping>,
    /// Actions that no role may do.
    pub denied: Vec<&'static str>,
    pub expiration_days: Option<i32>,
    /// The answer to every call, where the credentials may read nothing.
    pub fault: Option<Fault>,
    /// No call ever answers.
    pub is_hanging: bool,
    /// Functions that do not exist.
    pub missing_functions: Vec<&'static str>,
}

impl InMemoryDeployment {
    async fn answer<T>(&self, value: T) -> Result<T, Fault> {
        if self.is_hanging {
            std::future::pending::<()>().await;
        }
        self.fault.clone().map_or(Ok(value), Err)
    }
}

impl Deployment for InMemoryDeployment {
    async fn mappings(&self) -> Result<Vec<StreamMapping>, Fault> {
        self.answer(self.mappings.clone()).await
    }

    async fn role_of(&self, function: &str) -> Result<String, Fault> {
        if self.missing_functions.contains(&function) {
            let detail = "ResourceNotFoundException (HTTP 404): Function not found".to_owned();
            return Err(Fault { kind: FaultKind::Refused, action: "lambda:GetFunctionConfiguration", detail });
        }
        self.answer(format!("arn:aws:iam::123456789012:role/{}", function.rsplit(':').next().unwrap())).await
    }

    async fn stream_retention(&self, _: &str) -> Result<Option<Duration>, Fault> {
        self.answer(Some(Duration::from_secs(24 * 3600))).await
    }

    async fn expiration_days(&self, _: &str) -> Result<Option<i32>, Fault> {
        self.answer(self.expiration_days).await
    }

    async fn denied_actions(&self, _: &str, actions: &[&str], _: &str) -> Result<Vec<String>, Fault> {
        let denied = actions.iter().filter(|action| self.denied.contains(action));
        self.answer(denied.map(|action| (*action).to_owned()).collect()).await
    }
}
