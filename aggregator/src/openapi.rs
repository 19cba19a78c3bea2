//! `/openapi.json`: what the server takes and answers, made from the constants and the registry that decide it.

use std::collections::BTreeMap;

use bytes::Bytes;
use hubbub_privacy::{Metric, Period, REPORT_BODY_BYTES, REPORT_FORMAT};
use hubbub_randomizer::{Mechanism, Plan};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::answer::RETRY_AFTER_S;
use crate::{ANSWER_BYTES, Answer, MAX_BODY_BYTES, Rejection, published};

/// The document, as of the registry that is served: it does not change while the server runs.
pub fn document(plan: &Plan) -> Bytes {
    let text = serde_json::to_string_pretty(&openapi(plan)).expect("text and numbers serialize");
    (text + "\n").into()
}

fn openapi(plan: &Plan) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hubbub aggregator",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Counts randomized reports and keeps only sums. One request carries one report of one metric. \
                What is not HTTP, or has a head that is too large, is answered 400, 414 or 431 without a body.",
        },
        "paths": {
            "/v1/reports": { "post": {
                "operationId": "offer_report",
                "summary": "Offer one report",
                "description": "A report is counted once, however often the same bytes are offered.",
                "requestBody": {
                    "required": true,
                    "description": format!(
                        "One report, padded with spaces to a multiple of {REPORT_BODY_BYTES} bytes; at most \
                         {MAX_BODY_BYTES} bytes. Content-Encoding is refused."
                    ),
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Report" } } },
                },
                "responses": answers(),
            } },
            "/healthz": page("healthz", "Whether the process answers", text("Always, while it runs.")),
            "/readyz": page("readyz", "Whether reports can be counted now", json!({
                "200": content("Commits are possible.", "text/plain", json!({ "type": "string" })),
                "503": content("The store takes no commits now.", "text/plain", json!({ "type": "string" })),
            })),
            "/metrics": page("metrics", "Figures for Prometheus", json!({ "200": content(
                "Figures about reports change at commits only.", published::MEDIA_TYPE, json!({ "type": "string" })
            ) })),
            "/openapi.json": page("openapi", "This document", json!({ "200": content(
                "OpenAPI 3.1, as of the registry that is served.", "application/json", json!({ "type": "object" })
            ) })),
        },
        "components": { "schemas": schemas(plan) },
    })
}

fn page(id: &str, summary: &str, responses: Value) -> Value {
    let operation = |method: &str| json!({ "operationId": format!("{method}_{id}"), "summary": summary });
    let (mut get, mut head) = (operation("get"), operation("head"));
    let without_content: Map<String, Value> = responses
        .as_object()
        .into_iter()
        .flatten()
        .map(|(status, response)| (status.clone(), json!({ "description": response["description"] })))
        .collect();
    get["responses"] = responses;
    head["responses"] = without_content.into();
    json!({ "get": get, "head": head })
}

fn text(description: &str) -> Value {
    json!({ "200": content(description, "text/plain", json!({ "type": "string" })) })
}

fn content(description: &str, media_type: &str, schema: Value) -> Value {
    json!({ "description": description, "content": { media_type: { "schema": schema } } })
}

/// The responses to an offered report: every status with all its codes.
fn answers() -> Value {
    let rejections = Rejection::ALL.iter().map(|&rejection| Answer::Rejected(rejection));
    let mut by_status: BTreeMap<u16, Vec<Answer>> = BTreeMap::new();
    for answer in [Answer::Counted, Answer::Pending].into_iter().chain(rejections) {
        by_status.entry(answer.status().as_u16()).or_default().push(answer);
    }
    by_status.into_iter().map(|(status, answers)| (status.to_string(), response(&answers))).collect()
}

fn response(answers: &[Answer]) -> Value {
    let words: Vec<(&str, &str)> = answers.iter().map(|answer| answer.words()).collect();
    let first = answers.first().expect("a status is listed with its first answer");
    let codes: Vec<&str> = words.iter().map(|(_, code)| *code).collect();
    let schema = json!({
        "type": "object",
        "required": ["status", "code"],
        "additionalProperties": false,
        "properties": { "status": { "const": words[0].0 }, "code": { "enum": codes } },
    });
    let meaning = format!("{} The body has {ANSWER_BYTES} bytes, like every answer's.", what_to_do(first.status()));
    let mut response = content(&meaning, "application/json", schema);
    if first.retry_after().is_some() {
        response["headers"]["Retry-After"] = json!({
            "description": "Seconds; add a random time of your own.",
            "required": true,
            "schema": { "const": RETRY_AFTER_S },
        });
    }
    if first.status() == StatusCode::METHOD_NOT_ALLOWED {
        response["headers"]["Allow"] = json!({
            "description": "The methods of this path.",
            "required": true,
            "schema": { "enum": ["POST", "GET, HEAD"] },
        });
    }
    response
}

/// What an answer asks of the device.
fn what_to_do(status: StatusCode) -> &'static str {
    match status {
        StatusCode::OK => "The report is in the committed counters: delete it.",
        StatusCode::ACCEPTED => "The report waits in memory: keep it and offer the same bytes again in some hours.",
        StatusCode::GONE => "Nothing more is counted here: drop the report and stop the metric.",
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            "Not now: keep the report and offer the same bytes again later."
        }
        _ => "The report will never be counted: drop it.",
    }
}

fn schemas(plan: &Plan) -> Value {
    let index = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    let mut schemas = Map::new();
    for (name, payload) in [
        (
            "Subset",
            json!({ "type": "array", "items": index, "uniqueItems": true, "description": "Indices, ascending." }),
        ),
        (
            "Cyclotomic",
            json!({
                "type": "array", "items": index, "minItems": 2, "maxItems": 2, "description": "A coordinate and an index.",
            }),
        ),
        ("Window", json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX, "description": "An index." })),
        ("FoldedGeometric", json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX, "description": "A count." })),
    ] {
        schemas.insert(name.to_owned(), payload);
    }
    schemas.insert("Period".to_owned(), period());
    schemas.insert(
        "Id".to_owned(),
        json!({
            "description": "128 random bits in base64url without padding, drawn for this report only.",
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{21}[AQgw]$",
        }),
    );
    let collected = plan.registry().metrics().filter(|metric| metric.status.is_collected());
    let metrics: Vec<Value> = collected
        .filter_map(|metric| {
            let (_, mechanism) = plan.get(metric.id).ok()?;
            schemas.insert(metric.name.clone(), report(metric, mechanism));
            Some(json!({ "$ref": format!("#/components/schemas/{}", metric.name) }))
        })
        .collect();
    // A registry without a collected metric takes no report at all.
    let any = if metrics.is_empty() { json!(false) } else { json!({ "oneOf": metrics }) };
    schemas.insert("Report".to_owned(), any);
    schemas.into()
}

/// The weeks of this century; only some years have a 53rd.
fn period() -> Value {
    let long = (2000..2100).map(|year| format!("{year}-W53")).filter(|week| week.parse::<Period>().is_ok());
    let long: Vec<String> = long.collect();
    json!({
        "description": "An ISO week. It is open from its start until 14 days after its end, by the server's clock in UTC.",
        "type": "string",
        "pattern": format!("^(20[0-9]{{2}}-W(0[1-9]|[1-4][0-9]|5[0-2])|{})$", long.join("|")),
    })
}

fn report(metric: &Metric, mechanism: &Mechanism) -> Value {
    json!({
        "title": metric.texts.title,
        "description": metric.texts.question,
        "type": "object",
        "additionalProperties": false,
        "required": ["v", "metric", "version", "period", "id", "report"],
        "properties": {
            "v": { "const": REPORT_FORMAT },
            "metric": { "const": metric.id.0 },
            "version": { "const": metric.version },
            "period": { "$ref": "#/components/schemas/Period" },
            "id": { "$ref": "#/components/schemas/Id" },
            "report": payload(mechanism),
        },
    })
}

/// The outputs of one metric's mechanism.
fn payload(mechanism: &Mechanism) -> Value {
    let below = |size: usize| json!({ "type": "integer", "minimum": 0, "maximum": size - 1 });
    let (family, bounds) = match mechanism {
        Mechanism::Subset(subset) => {
            ("Subset", json!({ "minItems": subset.k(), "maxItems": subset.k(), "items": below(subset.width()) }))
        }
        Mechanism::Cyclotomic(cyclotomic) => (
            "Cyclotomic",
            json!({ "prefixItems": [below(cyclotomic.parts() as usize), below(cyclotomic.prime() as usize)] }),
        ),
        Mechanism::Window(_) => ("Window", below(mechanism.counters())),
        Mechanism::FoldedGeometric(_) => ("FoldedGeometric", below(mechanism.counters())),
    };
    let mut payload = bounds;
    payload["$ref"] = json!(format!("#/components/schemas/{family}"));
    payload
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::Registry;
    use hubbub_privacy::registry::Files;

    use super::*;

    fn parsed() -> Value {
        let mut files = Files::default();
        let empty = b"schema = \"hubbub-registry/1\"\nnamespace = \"test\"\nowners = [\"owners@example.org\"]\n";
        files.definitions.insert("test.toml".to_owned(), empty.to_vec());
        let registry = Registry::parse(&files).expect("an empty registry is one");
        serde_json::from_slice(&document(&Plan::new(registry))).expect("it is JSON")
    }

    #[test]
    fn every_answer_is_described_and_nothing_else() {
        let document = parsed();
        let responses = document["paths"]["/v1/reports"]["post"]["responses"].as_object().expect("responses");
        let mut described = 0;
        for (status, response) in responses {
            let properties = &response["content"]["application/json"]["schema"]["properties"];
            for code in properties["code"]["enum"].as_array().expect("codes") {
                let rejections = Rejection::ALL.iter().map(|&rejection| Answer::Rejected(rejection));
                let mut answers = [Answer::Counted, Answer::Pending].into_iter().chain(rejections);
                let answer = answers.find(|answer| code == answer.words().1).expect("a code of the server's");
                assert_eq!(*status, answer.status().as_u16().to_string(), "{code}");
                assert_eq!(properties["status"]["const"], answer.words().0, "{code}");
                let waits = response["headers"]["Retry-After"]["schema"]["const"].as_str();
                assert_eq!(waits, answer.retry_after(), "{code}");
                described += 1;
            }
        }
        assert_eq!(described, Rejection::ALL.len() + 2);
        let limits = document["paths"]["/v1/reports"]["post"]["requestBody"]["description"].to_string();
        assert!(limits.contains("at most 4096 bytes"), "{limits}");
        assert!(responses["200"]["description"].to_string().contains("64 bytes"), "{}", responses["200"]);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = parsed();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        for family in ["Subset", "Cyclotomic", "Window", "FoldedGeometric"] {
            assert!(document["components"]["schemas"][family].is_object(), "{family}");
        }
    }
}
