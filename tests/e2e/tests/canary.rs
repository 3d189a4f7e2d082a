//! What an agent can find of secrets that are not its own: nothing, wherever it looks.
//!
//! Every secret of the configuration is a canary. The agent dumps all that it can see of its own and
//! of others' processes, and every file of the state and of the sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::Scene;

const KEY: &str = "sk-ant-canary-of-this-project";
const OTHERS: [&str; 3] = [
    "canary-of-the-other-bot",
    "sk-ant-canary-of-the-other-project",
    "canary-in-the-other-environment",
];

#[tokio::test]
async fn an_agent_finds_no_secret_but_the_token_of_its_session() {
    let scene = Scene::unready(|setup| {
        // What is apart must be so without a sandbox; with one, there is hardly anything to look at.
        setup.agent_table = "sandbox = \"off\"".to_owned();
        setup.agent_options = format!(
            "allowed_tools = [\"Bash\"]\nvolume = \"mine\"\n\
             api_key = \"{KEY}\"\nbase_url = \"http://127.0.0.1:9\""
        );
        let api_base = &setup.discord.as_ref().unwrap().0;
        let [token, key, variable] = OTHERS;
        setup.platforms = format!(
            "[[projects]]\nname = \"other\"\n[projects.agent]\ntype = \"command\"\n\
             [projects.agent.options]\nwork_dir = \"/usr/share\"\ncmd = \"/bin/cat\"\n\
             api_key = \"{key}\"\nenv = {{ SOMETHING = \"{variable}\" }}\n\
             [[projects.platforms]]\ntype = \"discord\"\nname = \"other\"\n\
             [projects.platforms.options]\ntoken = \"{token}\"\napi_base = \"{api_base}\"\n"
        );
    })
    .await;
    scene.tree.logged("discord: connected").await;
    scene.tree.logged("weibo: connected").await;
    let dirs = format!(
        "{} {}",
        scene.tree.state_dir().display(),
        scene.tree.runtime_dir().display()
    );
    let look = format!(
        "{{ env; ls -l /proc/self/fd /proc/$PPID/fd; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ \
         | tr '\\0' '\\n'; find {dirs} -type f -exec cat {{}} +; }} >seen 2>&1; true"
    );
    let asked = scene.dm(&format!("#tool Bash {look}\n#say done"));
    scene.reply(asked, |line| line.text == "done").await;
    let seen = std::fs::read(scene.tree.work_dir().join("seen")).unwrap();
    let seen = String::from_utf8_lossy(&seen);
    // It has looked at all of it.
    for there in [
        "ANTHROPIC_API_KEY=bulkhead-session-",
        "discord-worker",
        "SQLite format 3",
    ] {
        assert!(seen.contains(there), "{there}");
    }
    let weibo = scene.weibo.account();
    let token = scene.discord.token();
    let secrets = [KEY, &token, weibo.app_secret.as_str()];
    for secret in secrets.into_iter().chain(OTHERS) {
        assert!(!seen.contains(secret), "{secret} can be found");
        let logged = scene.log().count(|line| line.contains(secret));
        assert_eq!(logged, 0, "{secret} is in the log");
    }
    // The descriptor through which its runner got the secrets is none of its own.
    assert!(!seen.contains("memfd:"), "it has inherited a configuration");

    // Whoever asks is told.
    let (_, status, _) = scene.tree.ask(&["status"]).await.unwrap();
    assert!(status.contains("a key, kept from the agent"), "{status}");
    let asked = scene.dm("/status");
    let told = scene.reply(asked, |line| line.text.contains("Login")).await;
    for words in ["kept from the agent", "CLAUDE.md only", "Volume: mine"] {
        assert!(told.text.contains(words), "{}", told.text);
    }

    // Its volume is held as long as the project has it.
    let state_dir = scene.tree.state_dir();
    let volume = |args: &[&'static str]| {
        let of: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let place = ["--state-dir".to_owned(), state_dir.display().to_string()];
        let all: Vec<String> = ["volume".to_owned()]
            .into_iter()
            .chain(of)
            .chain(place)
            .collect();
        let tree = &scene.tree;
        async move {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            tree.ask(&all).await.unwrap()
        }
    };
    let (code, listed, _) = volume(&["list"]).await;
    assert!(
        code == 0 && listed.contains("mine") && listed.contains("in use"),
        "{listed}"
    );
    let (code, _, why) = volume(&["remove", "mine", "--yes"]).await;
    assert!(code != 0 && why.contains("is in use"), "{why}");
}
