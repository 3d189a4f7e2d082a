//! The filter of system calls: what would look into other processes, change the system, or go
//! round Landlock's rules.
//!
//! A list of what is refused, not of what is allowed: an agent runs any program that people write
//! programs with. Each refusal is an error that programs know to live with. System calls of another
//! architecture (32-bit programs) end the process that makes them.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::{Broken, Jail, Net};

/// Refused whatever their arguments.
const REFUSED: &[i64] = &[
    // Into other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    // A second way to make system calls, past this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Into the kernel.
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    // Keys of the user, which are kept by the kernel for every process of theirs.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Another file tree, other namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
];
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[libc::SYS_kexec_file_load, libc::SYS_iopl, libc::SYS_ioperm];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

const NAMESPACES: [i32; 8] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    CLONE_NEWTIME,
];
// Their values are the kernel's interface; `libc` has them not, or not everywhere.
const CLONE_NEWTIME: i32 = 0x80;
const MSG_FASTOPEN: u64 = 0x2000_0000;
const TCP_FASTOPEN: u64 = 23;
const TCP_FASTOPEN_CONNECT: u64 = 30;
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const TYPE_MASK: u64 = 0xf;
const SOCK_STREAM: u64 = 1;
/// Every other type that a socket can have.
const OTHER_TYPES: [u64; 6] = [2, 3, 4, 5, 6, 10];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What is refused, by the error it is refused with.
struct Table(BTreeMap<i32, Rules>);

impl Table {
    fn refuse(
        &mut self,
        errno: i32,
        call: i64,
        when: Vec<(u8, SeccompCmpOp, u64)>,
    ) -> Result<(), seccompiler::BackendError> {
        let conditions = when
            .into_iter()
            .map(|(argument, op, value)| {
                SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rules = self.0.entry(errno).or_default().entry(call).or_default();
        if !conditions.is_empty() {
            rules.push(SeccompRule::new(conditions)?);
        }
        Ok(())
    }
}

/// Whether this kernel filters system calls.
pub fn supported() -> bool {
    // Where the list cannot be read, closing the filter tells.
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    let errors = actions.map_or(true, |all| all.split_whitespace().any(|one| one == "errno"));
    errors && rustix::thread::secure_computing_mode().is_ok()
}

/// Closes the filter around this thread and what it starts.
pub(super) fn close(jail: &Jail) -> Result<(), Broken> {
    let wrong = |error: &dyn std::fmt::Display| Broken::Seccomp(error.to_string());
    for program in programs(jail).map_err(|error| wrong(&error))? {
        seccompiler::apply_filter(&program).map_err(|error| wrong(&error))?;
    }
    Ok(())
}

/// The filters, as another program takes them.
pub(super) fn bytes(jail: &Jail) -> Result<Vec<Vec<u8>>, Broken> {
    let programs = programs(jail).map_err(|error| Broken::Seccomp(error.to_string()))?;
    let bytes = |step: &sock_filter| {
        let mut bytes = Vec::with_capacity(8);
        bytes.extend(step.code.to_ne_bytes());
        bytes.extend([step.jt, step.jf]);
        bytes.extend(step.k.to_ne_bytes());
        bytes
    };
    let program = |program: &BpfProgram| program.iter().flat_map(bytes).collect();
    Ok(programs.iter().map(program).collect())
}

/// The filters, one an error.
fn programs(jail: &Jail) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut programs = Vec::new();
    for (errno, rules) in table(jail)?.0 {
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(errno.unsigned_abs()),
            arch,
        )?;
        programs.push(BpfProgram::try_from(filter)?);
    }
    programs.push(other_numbers());
    Ok(programs)
}

fn table(jail: &Jail) -> Result<Table, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let mut table = Table(BTreeMap::new());
    for call in REFUSED.iter().chain(REFUSED_HERE) {
        table.refuse(libc::EPERM, *call, vec![])?;
    }
    for flag in NAMESPACES.map(|flag| u64::from(flag.cast_unsigned())) {
        table.refuse(
            libc::EPERM,
            libc::SYS_unshare,
            vec![(0, MaskedEq(flag), flag)],
        )?;
        // In clone() the low byte is a signal, so the newest of them can be asked for there by
        // clone3() only.
        if flag != u64::from(CLONE_NEWTIME.cast_unsigned()) {
            table.refuse(
                libc::EPERM,
                libc::SYS_clone,
                vec![(0, MaskedEq(flag), flag)],
            )?;
        }
    }
    // Its flags are in memory, where a filter cannot look: "not there" makes programs use clone().
    table.refuse(libc::ENOSYS, libc::SYS_clone3, vec![])?;
    // What types into a terminal.
    for request in [TIOCSTI, TIOCLINUX] {
        table.refuse(libc::EPERM, libc::SYS_ioctl, vec![(1, Eq, request)])?;
    }
    sockets(jail, &mut table)?;
    // Data in the first packet connects without the call that Landlock looks at.
    for (call, flags) in [
        (libc::SYS_sendto, 3),
        (libc::SYS_sendmsg, 2),
        (libc::SYS_sendmmsg, 3),
    ] {
        let fast = vec![(flags, MaskedEq(MSG_FASTOPEN), MSG_FASTOPEN)];
        table.refuse(libc::EOPNOTSUPP, call, fast)?;
    }
    for option in [TCP_FASTOPEN, TCP_FASTOPEN_CONNECT] {
        let tcp = u64::from(libc::IPPROTO_TCP.cast_unsigned());
        let fast = vec![(1, Eq, tcp), (2, Eq, option)];
        table.refuse(libc::ENOPROTOOPT, libc::SYS_setsockopt, fast)?;
    }
    // Netlink asks for addresses and routes; of its other protocols none is an agent's business.
    let netlink = u64::from(libc::AF_NETLINK.cast_unsigned());
    table.refuse(
        libc::EPROTONOSUPPORT,
        libc::SYS_socket,
        vec![(0, Eq, netlink), (2, Ne, 0)],
    )?;
    Ok(table)
}

fn sockets(jail: &Jail, table: &mut Table) -> Result<(), seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let family = |family: i32| u64::from(family.cast_unsigned());
    let (inet, inet6) = (family(libc::AF_INET), family(libc::AF_INET6));
    let (unix, netlink) = (family(libc::AF_UNIX), family(libc::AF_NETLINK));
    // No family of which nothing else here speaks.
    let known = [unix, inet, inet6, netlink];
    let unknown = known.iter().map(|family| (0, Ne, *family)).collect();
    table.refuse(libc::EAFNOSUPPORT, libc::SYS_socket, unknown)?;
    if let Net::Ports(_) = jail.net {
        // Landlock refuses to bind, but who listens without that is given a port on every address. A
        // filter cannot tell of which family a socket is, so those of this machine are refused as well.
        table.refuse(libc::EACCES, libc::SYS_listen, vec![])?;
    }
    // Pairs are not refused: they reach nobody but those who are given one.
    if !jail.unix_sockets {
        table.refuse(libc::EACCES, libc::SYS_socket, vec![(0, Eq, unix)])?;
    }
    for inet in [inet, inet6] {
        // Streams are TCP or nothing: MPTCP and SCTP connect past Landlock's rules.
        let stream = vec![
            (0, Eq, inet),
            (1, MaskedEq(TYPE_MASK), SOCK_STREAM),
            (2, Ne, 0),
            (2, Ne, u64::from(libc::IPPROTO_TCP.cast_unsigned())),
        ];
        table.refuse(libc::EPROTONOSUPPORT, libc::SYS_socket, stream)?;
        match (&jail.net, jail.shape) {
            // Landlock has no rules for datagrams.
            (Net::Ports(_), _) => {
                for other in OTHER_TYPES {
                    let when = vec![(0, Eq, inet), (1, MaskedEq(TYPE_MASK), other)];
                    table.refuse(libc::EACCES, libc::SYS_socket, when)?;
                }
            }
            (Net::Closed(_), super::Shape::Shared) => {
                table.refuse(libc::EACCES, libc::SYS_socket, vec![(0, Eq, inet)])?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// On x86-64 a kernel may answer to a second set of numbers, from 2^30 on: there is no such call.
#[cfg(target_arch = "x86_64")]
fn other_numbers() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD_NUMBER, 0, 0, 0),
        step(JUMP_IF_AT_LEAST, 1, 0, 0x4000_0000),
        step(RETURN, 0, 0, ALLOW),
        step(RETURN, 0, 0, ERRNO | libc::ENOSYS.unsigned_abs()),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn other_numbers() -> BpfProgram {
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    vec![sock_filter {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: ALLOW,
    }]
}
