//! STS, of which one operation is answered: who the caller is. Its protocol is AWS Query: a form goes in, XML comes out.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::error::REQUEST_ID;
use crate::names::ACCOUNT;

/// Carries out the action that the form `body` names.
pub(crate) fn call(body: &[u8]) -> Response {
    let form = String::from_utf8_lossy(body);
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default();
    let id = uuid::Uuid::new_v4().to_string();
    if action == "GetCallerIdentity" {
        let result = format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::{ACCOUNT}:user/local</Arn><UserId>AIDALOCAL</UserId><Account>{ACCOUNT}</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
        return answer(StatusCode::OK, &id, result);
    }
    let error = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>InvalidAction</Code>\
         <Message>sagemaker-local has of STS the action GetCallerIdentity and no other</Message></Error>\
         <RequestId>{id}</RequestId></ErrorResponse>"
    );
    answer(StatusCode::BAD_REQUEST, &id, error)
}

fn answer(status: StatusCode, id: &str, xml: String) -> Response {
    (status, [(CONTENT_TYPE, "text/xml".to_owned()), (REQUEST_ID, id.to_owned())], xml).into_response()
}
