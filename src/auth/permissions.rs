//! What somebody may do in a workspace: permissions `resource:verb`, sets of them, and the roles that every workspace has.
//! Decides nothing by itself: the HTTP extractors ask a [`PermissionSet`]. Source: docs/permissions.md.

use std::{fmt, str::FromStr};

/// A permission as a type, so that a handler's signature says what it needs.
pub trait Permit: Send + Sync + 'static {
    const PERMISSION: Permission;
}

/// The text names no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such permission")]
pub struct UnknownPermission;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// One thing that somebody may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $($(#[$doc])* $name,)*
        }

        impl Permission {
            /// Every permission, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// `resource:verb`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        /// Each permission as a type.
        pub mod permit {
            use super::{Permission, Permit};

            $(
                $(#[$doc])*
                #[derive(Debug)]
                pub enum $name {}

                impl Permit for $name {
                    const PERMISSION: Permission = Permission::$name;
                }
            )*
        }
    };
}

permissions! {
    /// See workflows, their versions and tags.
    WorkflowRead = "workflow:read";
    /// Create, change, activate and delete workflows.
    WorkflowWrite = "workflow:write";
    /// Start executions of workflows.
    WorkflowExecute = "workflow:execute";
    /// See executions with their data, events and logs.
    ExecutionRead = "execution:read";
    /// Retry executions.
    ExecutionRetry = "execution:retry";
    /// Cancel executions.
    ExecutionCancel = "execution:cancel";
    /// Send signals to executions: approvals and the like.
    ExecutionSignal = "execution:signal";
    /// Delete executions with their journals.
    ExecutionDelete = "execution:delete";
    /// See schedules.
    ScheduleRead = "schedule:read";
    /// Create, change, pause, resume, backfill and delete schedules.
    ScheduleWrite = "schedule:write";
    /// See variables with their values.
    VariableRead = "variable:read";
    /// Create, change and delete variables.
    VariableWrite = "variable:write";
    /// See credentials, never their secrets.
    CredentialRead = "credential:read";
    /// Create, change, test and delete credentials.
    CredentialWrite = "credential:write";
    /// Name credentials in workflows and in code.
    CredentialUse = "credential:use";
    /// Run code, and single nodes, outside of a workflow.
    CodeExecute = "code:execute";
    /// Publish events.
    EventPublish = "event:publish";
    /// See agents and their runs.
    AgentsRead = "agents:read";
    /// Create, change and delete agents.
    AgentsWrite = "agents:write";
    /// Run agents.
    AgentsRun = "agents:run";
    /// Decide what agents ask for.
    AgentsApprove = "agents:approve";
    /// See counters and metrics.
    StatsRead = "stats:read";
    /// See the tree of actors.
    ActorInspect = "actor:inspect";
    /// See the nodes of the cluster.
    NodeRead = "node:read";
    /// Drain and uncordon nodes of the cluster.
    NodeDrain = "node:drain";
    /// See the audit log.
    AuditRead = "audit:read";
    /// See the members of the workspace, and invitations.
    MemberRead = "member:read";
    /// Invite, change and remove members, disable and rename their accounts.
    MemberWrite = "member:write";
    /// See roles.
    RoleRead = "role:read";
    /// Create, change and delete roles.
    RoleWrite = "role:write";
    /// See API keys, never their secrets. One's own are always seen.
    KeyRead = "key:read";
    /// Create, rotate and delete API keys.
    KeyWrite = "key:write";
    /// See the workspace's settings and quotas.
    WorkspaceRead = "workspace:read";
    /// Change the workspace and its quotas, and delete it; create workspaces.
    WorkspaceWrite = "workspace:write";
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or(UnknownPermission)
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct PermissionSet(u64);

const _: () = assert!(Permission::ALL.len() <= 64, "a set is 64 bits");

impl PermissionSet {
    /// Nothing at all.
    pub const NONE: Self = Self(0);
    /// Everything: what an owner may do.
    pub const ALL: Self = Self::of(Permission::ALL);

    /// The set of these.
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < permissions.len() {
            bits |= 1 << permissions[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// What both have.
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What either has.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What this has and the other has not.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the other has nothing that this has not.
    pub const fn includes(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The permissions in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, |set, permission| set.union(Self::of(&[permission])))
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

/// A role that every workspace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuiltInRole {
    /// Everything. A workspace always has one.
    Owner,
    /// Everything but the workspace itself.
    Admin,
    /// Builds workflows and runs them.
    Editor,
    /// Keeps what is built running.
    Operator,
    /// Looks.
    Viewer,
}

const VIEWER: PermissionSet = {
    use Permission::{AgentsRead, ExecutionRead, RoleRead, ScheduleRead, StatsRead, VariableRead, WorkflowRead, WorkspaceRead};
    PermissionSet::of(&[WorkflowRead, ExecutionRead, ScheduleRead, VariableRead, AgentsRead, StatsRead, RoleRead, WorkspaceRead])
};

const OPERATOR: PermissionSet = {
    use Permission::{
        ActorInspect, AgentsApprove, AgentsRun, CredentialRead, EventPublish, ExecutionCancel, ExecutionRetry, ExecutionSignal,
        MemberRead, NodeDrain, NodeRead, ScheduleWrite, WorkflowExecute,
    };
    VIEWER.union(PermissionSet::of(&[
        WorkflowExecute,
        ExecutionRetry,
        ExecutionCancel,
        ExecutionSignal,
        ScheduleWrite,
        CredentialRead,
        EventPublish,
        AgentsRun,
        AgentsApprove,
        ActorInspect,
        NodeRead,
        NodeDrain,
        MemberRead,
    ]))
};

const EDITOR: PermissionSet = {
    use Permission::{
        ActorInspect, AgentsApprove, AgentsRun, AgentsWrite, CodeExecute, CredentialRead, CredentialUse, CredentialWrite,
        EventPublish, ExecutionCancel, ExecutionDelete, ExecutionRetry, ExecutionSignal, MemberRead, ScheduleWrite,
        VariableWrite, WorkflowExecute, WorkflowWrite,
    };
    VIEWER.union(PermissionSet::of(&[
        WorkflowWrite,
        WorkflowExecute,
        ExecutionRetry,
        ExecutionCancel,
        ExecutionSignal,
        ExecutionDelete,
        ScheduleWrite,
        VariableWrite,
        CredentialRead,
        CredentialWrite,
        CredentialUse,
        CodeExecute,
        EventPublish,
        AgentsWrite,
        AgentsRun,
        AgentsApprove,
        ActorInspect,
        MemberRead,
    ]))
};

impl BuiltInRole {
    /// From most to least.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Editor, Self::Operator, Self::Viewer];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// What the role may do.
    pub const fn permissions(self) -> PermissionSet {
        match self {
            Self::Owner => PermissionSet::ALL,
            Self::Admin => PermissionSet::ALL.without(PermissionSet::of(&[Permission::WorkspaceWrite])),
            Self::Editor => EDITOR,
            Self::Operator => OPERATOR,
            Self::Viewer => VIEWER,
        }
    }

    /// The role of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_have_distinct_names_that_are_read_back() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(*permission));
            let (resource, verb) = permission.as_str().split_once(':').unwrap();
            assert!([resource, verb].iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())), "{permission}");
        }
        assert_eq!("workflow:fly".parse::<Permission>(), Err(UnknownPermission));
    }

    #[test]
    fn sets_intersect_unite_and_compare() {
        let reads = PermissionSet::of(&[Permission::WorkflowRead, Permission::StatsRead]);
        let writes = PermissionSet::from_iter([Permission::WorkflowRead, Permission::WorkflowWrite]);
        assert_eq!(reads.intersect(writes), PermissionSet::of(&[Permission::WorkflowRead]));
        assert!(reads.union(writes).includes(reads) && !writes.includes(reads));
        assert_eq!(writes.without(reads).iter().collect::<Vec<_>>(), [Permission::WorkflowWrite]);
        assert!(PermissionSet::NONE.is_empty() && PermissionSet::ALL.includes(reads));
        assert_eq!(format!("{reads:?}"), r#"{"workflow:read", "stats:read"}"#);
    }

    #[test]
    fn each_role_has_less_than_the_owner_and_at_least_what_a_viewer_has() {
        for role in BuiltInRole::ALL {
            assert_eq!(BuiltInRole::find(role.as_str()), Some(role));
            assert!(role.permissions().includes(BuiltInRole::Viewer.permissions()), "{role:?}");
            assert_eq!(role.permissions() == PermissionSet::ALL, role == BuiltInRole::Owner, "{role:?}");
        }
        assert!(BuiltInRole::Admin.permissions().includes(BuiltInRole::Editor.permissions()));
        assert!(BuiltInRole::Admin.permissions().includes(BuiltInRole::Operator.permissions()));
        assert!(BuiltInRole::Viewer.permissions().iter().all(|permission| permission.as_str().ends_with(":read")));
        assert!(!BuiltInRole::Editor.permissions().contains(Permission::MemberWrite));
        assert_eq!(BuiltInRole::find("root"), None);
    }
}
