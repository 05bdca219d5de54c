//! `bootstrap`: the program that AWS Lambda starts in front of the endpoint.

mod answer;
mod asking;
mod deadline;
mod endpoint;
mod event;
mod handler;
mod logging;
mod question;
mod settings;

use std::process::ExitCode;

use lambda_runtime::service_fn;
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{BoxError, Client, build_request};
use serde_json::json;

use crate::handler::Handler;
use crate::settings::Settings;

fn main() -> ExitCode {
    logging::start();
    // One invocation at a time: a second thread would only take longer to start.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(BoxError::from).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers one invocation after the other, until Lambda ends the process.
async fn run() -> Result<(), BoxError> {
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(error) => {
            if error.is_within_lambda()
                && let Err(unsaid) = report(&error.to_string()).await
            {
                tracing::warn!("cannot tell Lambda why the function fails: {unsaid}");
            }
            return Err(error.into());
        }
    };
    let handler = Handler::new(settings);
    let service = service_fn(|event| handler.handle(event));
    lambda_runtime::Runtime::new(service).run().await
}

/// Tells Lambda why there will be no answers, so that whoever deploys or invokes the function reads it.
async fn report(message: &str) -> Result<(), BoxError> {
    let kind = "UnspscSettings";
    let body = json!({ "errorType": kind, "errorMessage": message }).to_string();
    let request = build_request().method("POST").uri("/2018-06-01/runtime/init/error");
    let request = request.header("lambda-runtime-function-error-type", kind).body(Body::from(body))?;
    Client::builder().build()?.call(request).await?;
    Ok(())
}
