//! Landlock: which files and ports can be reached, and whom signals reach.
//!
//! Demanded in full: what this kernel's Landlock lacks of it is an error, never left out. A rule is
//! for what was found at the end of a grant's way, and is no other by the time it is made.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort,
    PathBeneath, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};

use super::kernel::System;
use super::policy::{places, written};
use super::{Access, Broken, Grant, Jail, Net};
use crate::beneath;

/// The newest interface that is made use of, by number.
pub const NEWEST: u8 = 6;

/// Closes the fence around this thread and what it starts. `more`: what is open beside the grants;
/// no agent has a hand in that.
pub(super) fn close(jail: &Jail, more: &[Grant]) -> Result<(), Broken> {
    let has = supported();
    if has < jail.abi {
        return Err(Broken::Landlock(format!(
            "the jail needs interface {}, this kernel has {has}",
            jail.abi
        )));
    }
    // What is there beyond the demand is taken as well.
    let abi = number(has);
    let wrong = |error: &dyn std::fmt::Display| Broken::Landlock(error.to_string());
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .map_err(|error| wrong(&error))?;
    let ports = match &jail.net {
        Net::Full => None,
        Net::Ports(ports) => Some(ports.as_slice()),
        // In namespaces there is no other loopback than the jail's; without, no socket at all.
        Net::Closed(_) => None,
    };
    if ports.is_some() {
        let tcp = AccessNet::from_all(ABI::V4);
        rules = rules.handle_access(tcp).map_err(|error| wrong(&error))?;
    }
    if has >= 6 {
        let scope = Scope::from_all(ABI::V6);
        rules = rules.scope(scope).map_err(|error| wrong(&error))?;
    }
    let mut rules = rules.create().map_err(|error| wrong(&error))?;
    let written = written(&jail.grants, &jail.owned, &System);
    let granted = places(&jail.grants, &written, &System)?;
    for (walked, access) in granted.into_iter().chain(places(more, &[], &System)?) {
        let path = walked.real;
        let Some(held) = beneath::exactly(&path).map_err(Broken::at("open", &path))? else {
            continue;
        };
        let about = held.metadata().map_err(Broken::at("look at", &path))?;
        let mut access = rights(access, abi);
        if !about.is_dir() {
            access &= AccessFs::from_file(abi);
        }
        rules = rules
            .add_rule(PathBeneath::new(held, access))
            .map_err(|error| Broken::Landlock(format!("{}: {error}", path.display())))?;
    }
    for port in ports.unwrap_or_default() {
        rules = rules
            .add_rule(NetPort::new(*port, AccessNet::ConnectTcp))
            .map_err(|error| wrong(&error))?;
    }
    let status = rules.restrict_self().map_err(|error| wrong(&error))?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(Broken::Landlock("it is enforced in part only".into()));
    }
    Ok(())
}

fn rights(access: Access, abi: ABI) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    match access {
        Access::List => AccessFs::ReadDir.into(),
        Access::Read => read,
        Access::Device => {
            let ioctl = AccessFs::from_all(abi) & AccessFs::IoctlDev;
            AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | ioctl
        }
        Access::Write => AccessFs::from_all(abi),
    }
}

fn number(abi: u8) -> ABI {
    match abi {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        _ => ABI::V6,
    }
}

/// The interface that this kernel has, at most [`NEWEST`]; 0 = no Landlock.
pub fn supported() -> u8 {
    let rules = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let has = |abi: u8| match abi {
        6 => rules().scope(Scope::Signal).is_ok(),
        5 => rules().handle_access(AccessFs::IoctlDev).is_ok(),
        4 => rules().handle_access(AccessNet::ConnectTcp).is_ok(),
        3 => rules().handle_access(AccessFs::Truncate).is_ok(),
        2 => rules().handle_access(AccessFs::Refer).is_ok(),
        _ => rules().handle_access(AccessFs::Execute).is_ok(),
    };
    (1..=NEWEST).rev().find(|abi| has(*abi)).unwrap_or(0)
}
