/** Four servers that change their roles, with a lag proxy on each way that replication can take between them. */

import { LagProxy } from "../proxies/lag-proxy.js";
import { RedisServer } from "../servers/redis-server.js";
import { caughtUp } from "../servers/replication-group.js";
import { waitUntil } from "../wait-until.js";

/** A server, and what stands between it and each server that it may replicate from. */
export interface Member {
  readonly name: string;
  readonly server: RedisServer;
  readonly links: Map<Member, LagProxy>;
}

export class Fleet implements AsyncDisposable {
  readonly members: readonly Member[];
  /** A server of another history. */
  readonly stranger: RedisServer;
  primary: Member;

  static async start(replicas: number): Promise<Fleet> {
    const servers = await Promise.all(Array.from({ length: replicas + 1 }, () => RedisServer.start()));
    const members = servers.map((server, i): Member => ({ name: `s${i}`, server, links: new Map() }));
    const [primary] = members;
    if (primary === undefined) throw new Error("a fleet needs a server");
    const fleet = new Fleet(members, primary, await RedisServer.start());
    for (const member of members)
      for (const upstream of members)
        if (upstream !== member)
          member.links.set(upstream, await LagProxy.start({ targetPort: upstream.server.port }));
    await fleet.heal();
    return fleet;
  }

  private constructor(members: readonly Member[], primary: Member, stranger: RedisServer) {
    this.members = members;
    this.primary = primary;
    this.stranger = stranger;
  }

  get replicas(): readonly Member[] {
    return this.members.filter((member) => member !== this.primary);
  }

  get urls(): { readonly primary: string; readonly replicas: readonly string[] } {
    const replicas = this.replicas.map(({ server }) => server.url);
    return { primary: this.primary.server.url, replicas };
  }

  linkOf(member: Member, upstream: Member = this.primary): LagProxy {
    const link = member.links.get(upstream);
    if (link === undefined) throw new Error(`${member.name} does not replicate from ${upstream.name}`);
    return link;
  }

  async follow(member: Member, upstream: Member = this.primary): Promise<void> {
    await member.server.replicate(this.linkOf(member, upstream));
  }

  /** Resolves when `member` has the data of its upstream. */
  async inSync(member: Member, timeoutMs = 15_000): Promise<void> {
    await waitUntil(
      async () => {
        const info = await member.server.info("replication");
        return info.master_link_status === "up" && info.master_sync_in_progress === "0";
      },
      { what: `${member.name} is in sync`, timeoutMs },
    );
  }

  /** Has every replica follow the primary without delay, and waits until they do. */
  async heal(): Promise<void> {
    for (const replica of this.replicas) {
      const link = this.linkOf(replica);
      link.mend();
      link.delay(0);
      await link.release();
      await this.follow(replica);
    }
    await Promise.all(this.replicas.map((replica) => this.inSync(replica)));
    const servers = this.replicas.map(({ server }) => server);
    await caughtUp(this.primary.server, servers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const owned = this.members.flatMap(({ server, links }) => [server, ...links.values()]);
    await Promise.all([this.stranger, ...owned].map((one) => one.stop()));
  }
}
