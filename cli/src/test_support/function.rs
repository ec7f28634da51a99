//! A function in memory with scripted outcomes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use hydration::error::{Fault, FaultKind};

use crate::ports::{BatchMapping, Function, InvokeOutcome, Invoked};

/// One invocation that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvokedEvent {
    pub function: String,
    pub event: String,
}

/// Decides the outcome of an invocation.
type Decide = Box<dyn Fn(&InvokedEvent) -> InvokeOutcome>;

/// A function that succeeds, unless outcomes are scripted.
#[derive(Default)]
pub struct ScriptedFunction {
    outcomes: RefCell<VecDeque<InvokeOutcome>>,
    decide: RefCell<Option<Decide>>,
    invocations: RefCell<Vec<InvokedEvent>>,
    /// The concurrency of functions that have another than 20, by the end of their names, or the fault of asking.
    pub concurrency: RefCell<Vec<(&'static str, Result<u32, Fault>)>>,
    /// Turns of other tasks while an invocation runs.
    pub turns: Cell<u32>,
    running: Cell<u32>,
    most_running: Cell<u32>,
    /// The answer for the event source mappings of every function and stream.
    pub mappings: RefCell<Option<Result<Vec<BatchMapping>, Fault>>>,
}

impl ScriptedFunction {
    /// Adds the outcome of one invocation. After the last one, the function succeeds.
    pub fn then(&self, outcome: InvokeOutcome) -> &Self {
        self.outcomes.borrow_mut().push_back(outcome);
        self
    }

    /// Decides the outcome of every invocation that has none scripted.
    pub fn always(&self, decide: impl Fn(&InvokedEvent) -> InvokeOutcome + 'static) {
        *self.decide.borrow_mut() = Some(Box::new(decide));
    }

    pub fn invocations(&self) -> Vec<InvokedEvent> {
        self.invocations.borrow().clone()
    }

    /// The most invocations that ran at the same time.
    pub fn most_running(&self) -> u32 {
        self.most_running.get()
    }
}

/// The function threw.
pub fn failed(error_type: &str, message: &str) -> InvokeOutcome {
    InvokeOutcome::Failed { error_type: error_type.to_owned(), message: message.to_owned() }
}

/// The function returned this JSON.
pub fn returned(payload: &str) -> InvokeOutcome {
    InvokeOutcome::Returned(payload.as_bytes().to_vec())
}

impl Function for ScriptedFunction {
    async fn invoke(&self, function: &str, event: String) -> Invoked {
        let invocation = InvokedEvent { function: function.to_owned(), event };
        self.invocations.borrow_mut().push(invocation.clone());
        let request_id = Some(format!("request-{}", self.invocations.borrow().len()));
        let scripted = self.outcomes.borrow_mut().pop_front();
        let outcome = scripted.unwrap_or_else(|| match &*self.decide.borrow() {
            Some(decide) => decide(&invocation),
            None => returned("null"),
        });
        self.running.set(self.running.get() + 1);
        self.most_running.set(self.most_running.get().max(self.running.get()));
        for _ in 0..self.turns.get() {
            tokio::task::yield_now().await;
        }
        self.running.set(self.running.get() - 1);
        Invoked { outcome, request_id }
    }

    async fn resolve(&self, name: &str) -> Result<String, Fault> {
        if name.starts_with("nosuch") {
            let detail = "ResourceNotFoundException: Function not found".to_owned();
            return Err(Fault { kind: FaultKind::Refused, action: "lambda:GetFunctionConfiguration", detail });
        }
        Ok(format!("arn:aws:lambda:us-east-1:123456789012:function:{name}"))
    }

    async fn concurrency(&self, function: &str) -> Result<u32, Fault> {
        let known = self.concurrency.borrow();
        known.iter().find(|(name, _)| function.ends_with(name)).map_or(Ok(20), |(_, answer)| answer.clone())
    }

    async fn mappings(&self, _: &str, _: &str) -> Result<Vec<BatchMapping>, Fault> {
        self.mappings.borrow().clone().unwrap_or_else(|| Ok(Vec::new()))
    }

    async fn mapping(&self, function: &str, uuid: &str) -> Result<BatchMapping, Fault> {
        let missing = || Fault {
            kind: FaultKind::Refused,
            action: "lambda:GetEventSourceMapping",
            detail: "ResourceNotFoundException".to_owned(),
        };
        let known = self.mappings(function, "").await?;
        known.into_iter().find(|mapping| mapping.uuid == uuid).ok_or_else(missing)
    }
}
