//! People of an app, each with an API key that may do whatever they may.

use citadel::{
    auth::{
        password::Passwords,
        permissions::{BuiltInRole, Permission},
        token::{Label, Token},
    },
    clock,
    model::ids::{KeyId, TokenId, UserId, WorkspaceId},
    store::{ApiKeyRow, InsertMember, InsertWorkspace, KeySecret, RoleGrant, UserRow, WorkspaceRow},
};

use serde_json::json;

use super::{Client, TestApp};

/// The password of everybody who logs in.
const PASSWORD: &str = "correct horse battery";

/// Somebody in a workspace.
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) key: KeyId,
    pub(crate) client: Client,
}

impl TestApp {
    /// Somebody new with this role in the first workspace; their address is made of the name.
    pub(crate) async fn person(&self, name: &str, role: &str) -> Person {
        let user = UserRow {
            id: UserId::from_uuid(clock::new_uuid()),
            workspace: WorkspaceId::DEFAULT,
            email: format!("{name}@example.org"),
            name: name.to_owned(),
            password_hash: String::new(),
            created_at: clock::now_ms(),
            disabled_at: None,
        };
        let grant = RoleGrant { name: role.to_owned(), is_custom: BuiltInRole::find(role).is_none() };
        let inserted = self.running().store.insert_user(&user, &grant).await.unwrap();
        assert_eq!(inserted, InsertMember::Inserted);
        self.with_key(user.id, WorkspaceId::DEFAULT).await
    }

    /// Another workspace with an owner of its own, who is nobody in the first one.
    pub(crate) async fn stranger(&self, name: &str) -> (WorkspaceId, Person) {
        let store = &self.running().store;
        let user = self.person(name, "viewer").await.user;
        let id = WorkspaceId::from_uuid(clock::new_uuid());
        let row = WorkspaceRow { id, name: format!("of {name}"), created_at: clock::now_ms() };
        assert_eq!(store.insert_workspace(&row, user).await.unwrap(), InsertWorkspace::Inserted);
        store.delete_member(WorkspaceId::DEFAULT, user).await.unwrap();
        (id, self.with_key(user, id).await)
    }

    async fn with_key(&self, user: UserId, workspace: WorkspaceId) -> Person {
        let key = KeyId::from_uuid(clock::new_uuid());
        let mut secret = [0; 32];
        clock::fill_random(&mut secret);
        let token = Token::new(Label::Live, TokenId::from_uuid(key.uuid()), &secret);
        let row = ApiKeyRow {
            id: key,
            workspace,
            user,
            name: "everything".to_owned(),
            permissions: Permission::ALL.iter().map(|permission| permission.as_str().to_owned()).collect(),
            secret: KeySecret { hash: token.hash(), last_characters: token.last_characters().to_owned() },
            previous: None,
            created_at: clock::now_ms(),
            expires_at: None,
            used_at: None,
        };
        assert!(self.running().store.insert_api_key(&row).await.unwrap());
        Person { user, key, client: self.client.with_token(token.expose()) }
    }

    /// Logs somebody in who need not have a password; answers an access token.
    pub(crate) async fn log_in_as(&self, user: UserId) -> String {
        let store = &self.running().store;
        let salt = [7; 16];
        let hash = Passwords::default().hash(PASSWORD, salt).await.unwrap();
        assert!(store.set_password(user, &hash, citadel::store::PasswordStep::default()).await.unwrap());
        let email = store.find_user(user).await.unwrap().unwrap().email;
        let body = json!({ "email": email, "password": PASSWORD });
        self.client.anonymous().post("/auth/login", &body).await.text("access_token")
    }
}
