/** The network on which containers reach each other, and nobody else reaches them: each has a fixed address on it. */

import { randomUUID } from "node:crypto";
import { type ContainerRuntimeClient, getContainerRuntimeClient } from "testcontainers";

type Dockerode = ContainerRuntimeClient["container"]["dockerode"];
type DockerNetwork = ReturnType<Dockerode["getNetwork"]>;

const ATTEMPTS = 10;
/** Addresses below are the engine's own. */
const FIRST_HOST = 10;

export class InnerNetwork {
  readonly #network: DockerNetwork;
  readonly #prefix: string;

  /** An address is fixed only where the network's range is, so the engine's own choice is made for good. */
  static async create(): Promise<InnerNetwork> {
    const { dockerode } = (await getContainerRuntimeClient()).container;
    for (let attempt = 1; ; attempt += 1) {
      const subnet = await freeSubnet(dockerode);
      try {
        const network = await createNetwork(dockerode, [{ Subnet: subnet }]);
        return new InnerNetwork(network, subnet);
      } catch (error) {
        // Somebody else was faster.
        if (!/overlap/i.test(String(error)) || attempt === ATTEMPTS) throw error;
      }
    }
  }

  private constructor(network: DockerNetwork, subnet: string) {
    this.#network = network;
    this.#prefix = subnet.slice(0, subnet.lastIndexOf(".") + 1);
  }

  /** The address of the container with this number, from 0. */
  addressOf(index: number): string {
    return `${this.#prefix}${FIRST_HOST + index}`;
  }

  async connect(containerId: string, address: string): Promise<void> {
    await this.#network.connect({
      Container: containerId,
      EndpointConfig: { IPAMConfig: { IPv4Address: address } },
    });
  }

  async disconnect(containerId: string): Promise<void> {
    await this.#network.disconnect({ Container: containerId, Force: true });
  }

  async remove(): Promise<void> {
    await this.#network.remove();
  }
}

async function freeSubnet(dockerode: Dockerode): Promise<string> {
  const network = await createNetwork(dockerode, []);
  const { IPAM } = await network.inspect();
  await network.remove();
  const subnet: unknown = IPAM?.Config?.[0]?.Subnet;
  if (typeof subnet !== "string") throw new Error("the engine gave a network no range of addresses");
  return subnet;
}

function createNetwork(dockerode: Dockerode, ranges: { Subnet: string }[]): Promise<DockerNetwork> {
  return dockerode.createNetwork({
    Name: `tidemark-${randomUUID()}`,
    Internal: true,
    ...(ranges.length > 0 ? { IPAM: { Driver: "default", Config: ranges } } : {}),
  });
}
