// An OpenID provider for tests: one client, three people, no password, no question. It listens on a free port of the loopback address
// and prints that as its first line. Whoever logs in is named by the field `login`.
import { Provider } from 'oidc-provider';
import { createServer } from 'node:http';

const PEOPLE = {
  ada: { email: 'ada@example.org', email_verified: true, name: 'Ada Lovelace', groups: ['builders', 'everybody'] },
  grace: { email: 'grace@example.org', email_verified: true, name: 'Grace Hopper', groups: [] },
  mallory: { email: 'ada@example.org', email_verified: false, name: 'Mallory', groups: ['builders'] },
};

const redirectUri = process.argv[2];
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'citadel',
      client_secret: 'a secret of the client: with / and %',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    cookies: { keys: ['for tests only'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) }),
    // Nobody is asked what the client may see.
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid email profile');
      await grant.save();
      return grant;
    },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
