/** A node of a cluster, reached by clients and replicas through one proxy, and by the other nodes through another. */

import { BusProxy } from "../proxies/bus-proxy.js";
import { type AnnouncedNode, startAnnouncedNode } from "./announced-node.js";
import { BUS_OFFSET, freeNodePort } from "./free-port.js";
import { HOST } from "./server-arguments.js";

export interface ClusterNode extends AnnouncedNode {
  readonly id: string;
  readonly bus: BusProxy;
}

/** Resolves with a node that is alone and has no slots. */
export async function startClusterNode(args: readonly string[]): Promise<ClusterNode> {
  const bus = await BusProxy.start({ targetPort: 0 });
  const announce = (port: number) => [
    ...["--cluster-enabled", "yes", "--cluster-announce-ip", HOST],
    ...["--cluster-announce-port", String(port), "--cluster-announce-bus-port", String(bus.port)],
  ];
  try {
    const node = await startAnnouncedNode({ args, announce, findPort: freeNodePort });
    bus.retarget(node.server.port + BUS_OFFSET);
    const id = String(await node.server.admin().call("CLUSTER", "MYID"));
    const stop = async () => {
      await Promise.all([node.stop(), bus.stop()]);
    };
    return { ...node, id, bus, stop };
  } catch (error) {
    await bus.stop();
    throw error;
  }
}
