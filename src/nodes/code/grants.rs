//! What one run is granted: values are evaluated and secrets are read before the sandbox starts.

use std::{collections::BTreeMap, sync::Arc};

use zeroize::Zeroizing;

use super::{network::Network, params};
use crate::{
    model::error::{NodeError, codes},
    nodes::{context::EffectContext, params::text_once},
    runtimes::grants::{Fetch, Grants, env_complaint},
};

/// Errors: `invalid_parameter` for a credential or field that is not there, a value that is no text, or variables that no process can
/// have; those of expressions.
pub(super) async fn of_run(granted: &params::Grants, ctx: &mut EffectContext) -> Result<Grants, NodeError> {
    let fields = match &ctx.credential {
        Some(name) if granted.env.values().any(|value| matches!(value, params::Granted::Credential { .. })) => {
            ctx.services.credentials.get(ctx.workspace, name).await?.fields
        }
        _ => BTreeMap::new(),
    };
    let mut env = BTreeMap::new();
    for (name, value) in &granted.env {
        let value = match value {
            params::Granted::Credential { credential } => field(&fields, name, credential)?,
            params::Granted::Value(param) => text_once(&mut ctx.pure(), param, &format!("grants.env.{name}"))?,
        };
        env.insert(name.clone(), value);
    }
    if let Some(complaint) = env_complaint(&env) {
        return Err(NodeError::permanent(codes::INVALID_PARAMETER, format!("`grants.env`: {complaint}")));
    }
    let network = granted.network.then(|| Arc::new(Network::new(ctx.services.egress.clone())) as Arc<dyn Fetch>);
    Ok(Grants { workspace: Some(ctx.workspace), env, network })
}

fn field(fields: &BTreeMap<String, Zeroizing<String>>, name: &str, field: &str) -> Result<String, NodeError> {
    fields.get(field).map(|value| value.to_string()).ok_or_else(|| {
        let message = format!("`grants.env.{name}` needs the field `{field}` of the node's credential: there is none");
        NodeError::permanent(codes::INVALID_PARAMETER, message)
    })
}
