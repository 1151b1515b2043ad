//! What a node was before PyTorch's decompositions.

use serde::Deserialize;

use crate::schema::NodeJson;

const ALIAS: &str = "aten.alias.default";
/// The operator through which no derivative passes.
pub(crate) const DETACH: &str = "aten.detach.default";

/// A node from which another one was made.
#[derive(Deserialize)]
struct Origin {
    #[serde(default)]
    target: String,
    #[serde(default)]
    from_node: Vec<Origin>,
}

/// The operator of `n`, without PyTorch's namespace.
///
/// `run_decompositions` writes `detach` as `alias`, through which derivatives pass. What its author wrote decides: a node
/// that says that it was made from `detach` is one. A program that keeps no provenance is read as it stands.
pub(crate) fn target(n: &NodeJson) -> &str {
    let target = n.target.strip_prefix("torch.ops.").unwrap_or(&n.target);
    if target == ALIAS && was_detach(n) { DETACH } else { target }
}

fn was_detach(n: &NodeJson) -> bool {
    let text = n.metadata.get("from_node").and_then(|v| v.as_str()).unwrap_or_default();
    let mut left: Vec<Origin> = serde_json::from_str(text).unwrap_or_default();
    while let Some(origin) = left.pop() {
        if origin.target == DETACH {
            return true;
        }
        left.extend(origin.from_node);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(target: &str, from_node: &str) -> NodeJson {
        let metadata = [("from_node".to_owned(), serde_json::Value::String(from_node.to_owned()))].into();
        NodeJson {
            target: format!("torch.ops.{target}"),
            inputs: Vec::new(),
            outputs: Vec::new(),
            metadata,
            name: None,
        }
    }

    #[test]
    fn an_alias_is_what_it_was_made_from() {
        let direct = r#"[{"name": "detach", "target": "aten.detach.default", "graph_id": 1, "from_node": []}]"#;
        let twice = r#"[{"target": "aten.alias.default", "from_node": [{"target": "aten.detach.default"}]}]"#;
        let other = r#"[{"target": "aten.t.default", "from_node": []}]"#;
        assert_eq!(target(&node(ALIAS, direct)), DETACH);
        assert_eq!(target(&node(ALIAS, twice)), DETACH);
        assert_eq!(target(&node(ALIAS, other)), ALIAS);
        assert_eq!(target(&node("aten.sin.default", direct)), "aten.sin.default");
        // What cannot be read says nothing.
        for broken in ["", "{", "[1]", r#"[{"target": 3}]"#] {
            assert_eq!(target(&node(ALIAS, broken)), ALIAS);
        }
    }
}
