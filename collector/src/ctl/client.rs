//! Calls to the daemon; every answer becomes JSON.

use std::collections::HashMap;

use serde_json::{Value, json};
use zbus::proxy::{Builder, CacheProperties};
use zbus::{Connection, DynamicType, OwnedVariant, Proxy, Type, Variant, fdo};

use super::CtlError;
use crate::bus::{Bus, NAME, PATH};

type Fields = HashMap<String, OwnedVariant>;

/// A connection to the daemon's bus.
pub struct Client {
    bus: Bus,
    proxy: Proxy<'static>,
}

impl Client {
    /// Connects; that nobody is there shows at the first call.
    pub async fn connect(bus: Bus) -> Result<Self, CtlError> {
        let failed = |source| CtlError::Connect { bus: bus.clone(), source };
        let connection: Connection = bus.in_time(bus.builder().build()).await.map_err(failed)?;
        let proxy = Builder::new(&connection)
            .destination(NAME)
            .path(PATH)
            .interface(NAME)
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(failed)?;
        Ok(Self { bus, proxy })
    }

    /// The properties, by names in snake case, and this week's questions.
    pub async fn status(&self) -> Result<Value, CtlError> {
        let mut status = self.properties().await?;
        let metrics = self.list_metrics().await?;
        let asked = metrics.iter().filter(|metric| metric["asked"].is_string()).map(|metric| metric["metric"].clone());
        status["asked_this_week"] = asked.collect();
        Ok(status)
    }

    /// The properties, by names in snake case.
    pub async fn properties(&self) -> Result<Value, CtlError> {
        Ok(json!({
            "consent": self.property("Consent").await?,
            "categories": self.property("Categories").await?,
            "paused_until": self.property("PausedUntil").await?,
            "registry_digest": self.property("RegistryDigest").await?,
            "budget_spent": self.property("BudgetSpent").await?,
            "budget_left": self.property("BudgetLeft").await?,
        }))
    }

    pub async fn give_consent(&self, categories: &[&str]) -> Result<(), CtlError> {
        self.call("GiveConsent", &(categories,)).await
    }

    pub async fn refuse_consent(&self) -> Result<(), CtlError> {
        self.call("RefuseConsent", &()).await
    }

    pub async fn set_category(&self, category: &str, enabled: bool) -> Result<(), CtlError> {
        self.call("SetCategory", &(category, enabled)).await
    }

    pub async fn list_metrics(&self) -> Result<Vec<Value>, CtlError> {
        self.list("ListMetrics", &()).await
    }

    pub async fn sent_log(&self, since: u32) -> Result<Value, CtlError> {
        self.list("SentLog", &since).await.map(Value::Array)
    }

    pub async fn ledger(&self) -> Result<Value, CtlError> {
        self.list("Ledger", &()).await.map(Value::Array)
    }

    pub async fn preview(&self, metric: &str) -> Result<Value, CtlError> {
        let fields: Fields = self.call("Preview", &metric).await?;
        Ok(object(&fields))
    }

    /// Previews of every metric that has one.
    pub async fn previews(&self) -> Result<Vec<Value>, CtlError> {
        let mut previews = Vec::new();
        for metric in self.list_metrics().await? {
            let Some(name) = metric["metric"].as_str() else { continue };
            match self.preview(name).await {
                Ok(preview) => previews.push(preview),
                // One metric that is off, over or used up does not hide the others.
                Err(CtlError::Refused { name, .. })
                    if name.ends_with(".Disabled") || name.ends_with(".BudgetExhausted") => {}
                Err(other) => return Err(other),
            }
        }
        Ok(previews)
    }

    /// A metric's definition, with what is stored of it.
    pub async fn about(&self, name: &str) -> Result<Value, CtlError> {
        let listed = self.list_metrics().await?;
        let mut metric =
            listed.into_iter().find(|metric| metric["metric"] == name).ok_or_else(|| CtlError::Refused {
                name: format!("{NAME}.Error.UnknownMetric"),
                message: format!("metric `{name}` is not in the registry; `hubbubctl consent` shows those that are"),
            })?;
        let stored: Vec<Value> =
            self.list("LocalValues", &()).await?.into_iter().filter(|value| value["metric"] == name).collect();
        metric["stored"] = Value::Array(stored);
        Ok(metric)
    }

    async fn property(&self, name: &str) -> Result<Value, CtlError> {
        let value: zbus::Result<OwnedVariant> = self.bus.in_time(self.proxy.get_property(name)).await;
        let value = value.map_err(|error| self.explain(error))?;
        Ok(to_json(&value))
    }

    async fn list<B>(&self, method: &str, body: &B) -> Result<Vec<Value>, CtlError>
    where
        B: serde::Serialize + DynamicType,
    {
        let rows: Vec<Fields> = self.call(method, body).await?;
        Ok(rows.iter().map(object).collect())
    }

    async fn call<B, T>(&self, method: &str, body: &B) -> Result<T, CtlError>
    where
        B: serde::Serialize + DynamicType,
        T: for<'de> serde::Deserialize<'de> + Type,
    {
        self.bus.in_time(self.proxy.call(method, body)).await.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: zbus::Error) -> CtlError {
        let absent = || CtlError::Absent { bus: self.bus.clone() };
        let error = match error {
            zbus::Error::MethodError(name, message, _) => {
                return CtlError::Refused { name: name.to_string(), message: message.unwrap_or_default() };
            }
            zbus::Error::FDO(error) => *error,
            other => return CtlError::Call(other),
        };
        match error {
            fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => absent(),
            fdo::Error::ZBus(zbus::Error::MethodError(name, message, _)) => {
                CtlError::Refused { name: name.to_string(), message: message.unwrap_or_default() }
            }
            fdo::Error::ZBus(zbus::Error::FDO(inner)) if matches!(*inner, fdo::Error::ServiceUnknown(_)) => absent(),
            fdo::Error::IOError(message) => {
                CtlError::Refused { name: "org.freedesktop.DBus.Error.IOError".to_owned(), message }
            }
            other => CtlError::Call(zbus::Error::FDO(Box::new(other))),
        }
    }
}

fn object(fields: &Fields) -> Value {
    Value::Object(fields.iter().map(|(key, value)| (key.clone(), to_json(value))).collect())
}

fn to_json(value: &Variant<'_>) -> Value {
    match value {
        Variant::U8(n) => json!(n),
        Variant::Bool(b) => json!(b),
        Variant::I16(n) => json!(n),
        Variant::U16(n) => json!(n),
        Variant::I32(n) => json!(n),
        Variant::U32(n) => json!(n),
        Variant::I64(n) => json!(n),
        Variant::U64(n) => json!(n),
        Variant::F64(n) => json!(n),
        Variant::Str(text) => json!(text.as_str()),
        Variant::Variant(inner) => to_json(inner),
        Variant::Array(items) => items.inner().iter().map(to_json).collect(),
        Variant::Dict(entries) => {
            let key = |key: &Variant<'_>| if let Variant::Str(text) = key { text.to_string() } else { key.to_string() };
            Value::Object(entries.iter().map(|(name, value)| (key(name), to_json(value))).collect())
        }
        other => json!(other.to_string()),
    }
}
