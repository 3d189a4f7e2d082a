//! What an agent says of itself before the first prompt: what it can do, and which modes and models
//! there are to choose from.
//!
//! Promises: a mode or a model that was asked for and is not there is an error in words, never
//! passed over: an agent would work with more freedom than it was given. Pure.

use agent_client_protocol_schema::v1::{
    AuthMethod, InitializeResponse, SessionConfigKind, SessionConfigOption,
    SessionConfigOptionCategory as Category, SessionConfigSelectOptions, SessionModeState,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The most names of modes or models that are told to a person.
const NAMED: usize = 20;

/// Modes of one meaning that agents name differently, as [`plain`] has them.
const ALIKE: [&[&str]; 2] = [
    &["bypasspermissions", "yolo", "fullaccess"],
    &["acceptedits", "edit", "autoedit"],
];

/// What the agent can do.
#[derive(Debug, Clone, Default)]
pub(super) struct Offer {
    /// Goes on with an old session, replaying it.
    pub(super) load: bool,
    /// Goes on with an old session, without a word.
    pub(super) resume: bool,
    /// Takes pictures.
    pub(super) image: bool,
    /// How one logs in, in its words.
    pub(super) logins: Vec<String>,
    /// Its name and version, for a person.
    pub(super) name: String,
}

impl Offer {
    pub(super) fn of(said: &InitializeResponse) -> Offer {
        let can = &said.agent_capabilities;
        let logins = said.auth_methods.iter().map(|method| match method {
            AuthMethod::Agent(it) => login(&it.name, it.description.as_deref()),
            AuthMethod::Terminal(it) => login(&it.name, it.description.as_deref()),
            _ => String::new(),
        });
        Offer {
            load: can.load_session,
            resume: can.session_capabilities.resume.is_some(),
            image: can.prompt_capabilities.image,
            logins: logins.filter(|login| !login.is_empty()).collect(),
            name: said.agent_info.as_ref().map_or_else(String::new, |info| {
                let name = info.title.as_deref().unwrap_or(&info.name);
                format!("{name} {}", info.version)
            }),
        }
    }
}

fn login(name: &str, description: Option<&str>) -> String {
    match description.map(str::trim) {
        None | Some("") => name.to_owned(),
        Some(words) => format!("{name} ({words})"),
    }
}

/// What can be chosen in a session.
#[derive(Debug, Clone, Default)]
pub(super) struct Knobs {
    pub(super) mode: Option<Knob>,
    pub(super) model: Option<Knob>,
}

/// One thing that can be chosen.
#[derive(Debug, Clone)]
pub(super) struct Knob {
    how: How,
    /// What is chosen now.
    pub(super) current: String,
    values: Vec<String>,
}

/// How it is chosen.
#[derive(Debug, Clone)]
enum How {
    /// `session/set_mode`.
    Mode,
    /// `session/set_model`, of agents that know no options of that kind.
    Model,
    /// `session/set_config_option` with this id.
    Option(String),
}

/// Something to choose: a method with its parameters.
pub(super) type Turn = (&'static str, Value);

/// What `session/new`, `session/load` and `session/resume` answer. Not the crate's own types: they
/// know nothing of `models`, and fail on one field that is not as it should be.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Opened {
    /// Of `session/new` alone.
    pub(super) session_id: Option<String>,
    modes: Value,
    config_options: Value,
    models: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Models {
    current_model_id: String,
    available_models: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    model_id: String,
}

impl Opened {
    /// What can be chosen.
    pub(super) fn knobs(self) -> Knobs {
        let mut knobs = Knobs::default();
        knobs.options(self.config_options);
        if let Ok(modes) = serde_json::from_value::<SessionModeState>(self.modes) {
            let values = modes.available_modes.iter();
            knobs.mode = Some(Knob {
                how: How::Mode,
                current: modes.current_mode_id.to_string(),
                values: values.map(|mode| mode.id.to_string()).collect(),
            });
        }
        if let (None, Ok(models)) = (&knobs.model, serde_json::from_value::<Models>(self.models)) {
            let values = models.available_models.into_iter();
            knobs.model = Some(Knob {
                how: How::Model,
                current: models.current_model_id,
                values: values.map(|model| model.model_id).collect(),
            });
        }
        knobs
    }
}

impl Knobs {
    /// Takes over options that the agent tells of; what is none of ours is passed over.
    pub(super) fn options(&mut self, options: Value) {
        let Value::Array(options) = options else {
            return;
        };
        for option in options {
            let Ok(option) = serde_json::from_value::<SessionConfigOption>(option) else {
                continue;
            };
            let SessionConfigKind::Select(select) = option.kind else {
                continue;
            };
            let values = match select.options {
                SessionConfigSelectOptions::Ungrouped(all) => all,
                SessionConfigSelectOptions::Grouped(groups) => {
                    groups.into_iter().flat_map(|group| group.options).collect()
                }
                _ => Vec::new(),
            };
            let knob = Knob {
                how: How::Option(option.id.to_string()),
                current: select.current_value.to_string(),
                values: values.iter().map(|it| it.value.to_string()).collect(),
            };
            match option.category {
                Some(Category::Mode) => self.mode = Some(knob),
                Some(Category::Model) => self.model = Some(knob),
                _ => {}
            }
        }
    }

    /// What has to be chosen for this mode; nothing if it is so already. `default` is the agent's
    /// own mode of that name if it has one, and else whatever it begins with.
    ///
    /// # Errors
    /// There is no such mode, in words for the person who sent the message.
    pub(super) fn to_mode(&self, session: &str, wanted: &str) -> Result<Option<Turn>, String> {
        let found = self.mode.as_ref().and_then(|knob| knob.find(wanted));
        match (&self.mode, found) {
            (Some(knob), Some(value)) => Ok(knob.turn(session, &value)),
            (_, None) if matches!(plain(wanted).as_str(), "" | "default") => Ok(None),
            (Some(knob), None) => Err(format!(
                "it has no mode `{wanted}`. It has: {}. Mend `mode` in [projects.agent.options]",
                knob.named()
            )),
            (None, _) => Err(format!(
                "it has no modes, so it cannot be put into `{wanted}`. Take `mode` out of \
                 [projects.agent.options]"
            )),
        }
    }

    /// What has to be chosen for this model; nothing if it is so already.
    ///
    /// # Errors
    /// There is no such model, in words for the person who sent the message.
    pub(super) fn to_model(&self, session: &str, wanted: &str) -> Result<Option<Turn>, String> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let found = self.model.as_ref().and_then(|knob| knob.find(wanted));
        match (&self.model, found) {
            (Some(knob), Some(value)) => Ok(knob.turn(session, &value)),
            (Some(knob), None) => Err(format!(
                "it has no model `{wanted}`. It has: {}. Choose one with /model, or mend `model` \
                 in [projects.agent.options]",
                knob.named()
            )),
            (None, _) => Err(format!(
                "it does not let its model be chosen, so it cannot be `{wanted}`. Say /model \
                 default, and give the model to the program in its `args`"
            )),
        }
    }

    /// The model that answers, as far as it is known.
    pub(super) fn model(&self) -> &str {
        self.model.as_ref().map_or("", |knob| &knob.current)
    }

    /// What was chosen is so now.
    pub(super) fn chose(&mut self, (method, params): &Turn) {
        let knob = match (*method, params["configId"].as_str()) {
            ("session/set_mode", _) => &mut self.mode,
            ("session/set_model", _) => &mut self.model,
            (_, Some(id)) if self.mode.as_ref().is_some_and(|knob| knob.is(id)) => &mut self.mode,
            _ => &mut self.model,
        };
        let value = ["modeId", "modelId", "value"];
        let value = value.iter().find_map(|key| params[*key].as_str());
        if let (Some(knob), Some(value)) = (knob, value) {
            knob.current = value.to_owned();
        }
    }
}

impl Knob {
    fn is(&self, option: &str) -> bool {
        matches!(&self.how, How::Option(id) if id == option)
    }

    fn find(&self, wanted: &str) -> Option<String> {
        let exact = self.values.iter().find(|value| *value == wanted);
        let wanted = plain(wanted);
        let like = |wanted: &str| self.values.iter().find(|value| plain(value) == wanted);
        let alike = ALIKE.iter().find(|alike| alike.contains(&wanted.as_str()));
        exact
            .or_else(|| like(&wanted))
            .or_else(|| alike?.iter().find_map(|alike| like(alike)))
            .cloned()
    }

    fn turn(&self, session: &str, value: &str) -> Option<Turn> {
        if self.current == value {
            return None;
        }
        Some(match &self.how {
            How::Mode => (
                "session/set_mode",
                json!({"sessionId": session, "modeId": value}),
            ),
            How::Model => (
                "session/set_model",
                json!({"sessionId": session, "modelId": value}),
            ),
            How::Option(id) => (
                "session/set_config_option",
                json!({"sessionId": session, "configId": id, "value": value}),
            ),
        })
    }

    fn named(&self) -> String {
        let mut named: Vec<&str> = self.values.iter().map(String::as_str).collect();
        let more = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        let named = named.join(", ");
        match more {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

/// Without case, dashes and the like.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs(of: Value) -> Knobs {
        serde_json::from_value::<Opened>(of).unwrap().knobs()
    }

    fn modes(current: &str, all: &[&str]) -> Knobs {
        let all: Vec<Value> = all.iter().map(|id| json!({"id": id, "name": id})).collect();
        knobs(json!({"modes": {"currentModeId": current, "availableModes": all}}))
    }

    fn value(turn: Result<Option<Turn>, String>) -> Option<String> {
        let (_, params) = turn.unwrap()?;
        let keys = ["modeId", "modelId", "value"];
        keys.iter()
            .find_map(|key| Some(params[*key].as_str()?.to_owned()))
    }

    #[test]
    fn a_mode_is_found_by_its_id_however_it_is_written() {
        let gemini = modes("default", &["default", "autoEdit", "yolo"]);
        for (wanted, id) in [
            ("yolo", "yolo"),
            ("bypassPermissions", "yolo"),
            ("acceptEdits", "autoEdit"),
            ("auto_edit", "autoEdit"),
        ] {
            assert_eq!(value(gemini.to_mode("s", wanted)).as_deref(), Some(id));
        }
        assert_eq!(value(gemini.to_mode("s", "default")), None);
        let claude = modes("auto", &["default", "auto", "plan"]);
        assert_eq!(
            value(claude.to_mode("s", "default")).as_deref(),
            Some("default"),
            "an agent that begins with more freedom is put back"
        );
    }

    #[test]
    fn a_mode_that_is_not_there_is_never_passed_over() {
        let opencode = modes("build", &["build", "plan"]);
        assert_eq!(value(opencode.to_mode("s", "default")), None);
        let told = opencode.to_mode("s", "dontAsk").unwrap_err();
        assert!(told.contains("`dontAsk`") && told.contains("build, plan"));
        assert!(Knobs::default().to_mode("s", "plan").is_err());
        assert_eq!(value(Knobs::default().to_mode("s", "default")), None);
        assert!(Knobs::default().to_model("s", "m").is_err());
        assert_eq!(value(Knobs::default().to_model("s", "")), None);
    }

    #[test]
    fn options_and_old_models_are_understood_and_what_is_malformed_is_not() {
        let select = |id: &str, category: &str, values: Value| {
            json!({"id": id, "name": id, "category": category, "type": "select",
                "currentValue": "a", "options": values})
        };
        let values = json!([{"value": "a", "name": "A"}, {"value": "b", "name": "B"}]);
        let groups = json!([{"group": "g", "name": "G", "options": values}]);
        let mut found = knobs(json!({"configOptions": [
            7, {"id": "x"}, select("m", "model", groups), select("how", "mode", values),
        ]}));
        let turn = found.to_model("s", "b").unwrap().unwrap();
        assert_eq!(
            turn,
            (
                "session/set_config_option",
                json!({"sessionId": "s", "configId": "m", "value": "b"})
            )
        );
        found.chose(&turn);
        assert_eq!(found.model(), "b");
        let turn = found.to_mode("s", "b").unwrap().unwrap();
        found.chose(&turn);
        assert_eq!(value(found.to_mode("s", "b")), None);

        let old = knobs(json!({"modes": 7, "models": {"currentModelId": "a",
            "availableModels": [{"modelId": "a", "name": "A"}, {"modelId": "b"}]}}));
        let (method, _) = old.to_model("s", "b").unwrap().unwrap();
        assert_eq!(method, "session/set_model");
        assert!(old.to_model("s", "c").unwrap_err().contains("a, b"));
    }
}
