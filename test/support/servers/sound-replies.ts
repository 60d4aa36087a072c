/** The replies of healthy servers, for fake ones. */
import type { FakeReply } from "./fake-server.js";

const X = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb";

/** An INFO of a primary that lists these replicas. */
export function primaryInfo(replicas: readonly number[] = [1, 2]): string {
  const lines = [
    ...["# Replication", "role:master", `connected_slaves:${replicas.length}`],
    ...replicas.map((port, i) => `slave${i}:ip=127.0.0.1,port=${port},state=online,offset=1077,lag=0`),
    ...["master_failover_state:no-failover", `master_replid:${X}`, `master_replid2:${"0".repeat(40)}`],
    ...["master_repl_offset:1099", "second_repl_offset:-1", "repl_backlog_active:1"],
  ];
  return `${lines.join("\r\n")}\r\n`;
}

/** The replies of a healthy server: a primary, a node of a cluster or a Sentinel. */
export function sound(port: () => number, name: string, args: readonly string[]): FakeReply | undefined {
  const about = `${name} ${args[0] ?? ""}`.trim().toLowerCase();
  const sentinel = ["name", "one", "ip", "127.0.0.1", "port", String(port()), "flags", "slave"];
  const replies: Readonly<Record<string, FakeReply>> = {
    "info replication": primaryInfo(),
    "info cluster": "# Cluster\r\ncluster_enabled:1\r\n",
    time: ["1700000000", "123456"],
    wait: 1,
    get: "v",
    ping: "PONG",
    "cluster slots": [[0, 16_383, ["127.0.0.1", port(), "aaa", []], ["127.0.0.1", 1, "bbb", []]]],
    "cluster nodes": `aaa 127.0.0.1:${port()}@1 myself,master - 0 0 5 connected 0-16383\nbbb 127.0.0.1:1@1 slave aaa 0 0 5 connected\n`,
    "sentinel master": [...sentinel, "config-epoch", "3"],
    "sentinel get-master-addr-by-name": ["127.0.0.1", String(port())],
    "sentinel replicas": [sentinel, sentinel],
    "sentinel sentinels": [sentinel],
    psubscribe: ["psubscribe", "*", 1],
  };
  return replies[about] ?? replies[name];
}
