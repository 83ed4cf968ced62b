# SPDX-License-Identifier: Apache-2.0
# What must hold of whatever the chart renders. The input is the list of all objects; findings are lines of text.

def workloads: .[] | select(.kind == "Deployment" or .kind == "DaemonSet");
def pod: .spec.template.spec;
def containers: pod | (.initContainers // []) + .containers | .[];
def where: "\(.kind) \(.metadata.name)";
def on_host: .metadata.name == "nvmeot-node" or (.metadata.name | startswith("nvmeot-target-"));
def may_be_privileged: .name == "driver" or .name == "target";
def finding(cond; text): if cond then empty else text end;
def mount($container; $path): $container.volumeMounts[]? | select(.mountPath == $path);
def source($workload; $mount): $workload | pod | .volumes[] | select(.name == $mount.name);

# Of containers of our own image, by the program.
def flags_of($program): workloads | containers | select(.command[0] == $program) | .args[] | split("=")[0];

def identities: group_by([.apiVersion, .kind, .metadata.namespace, .metadata.name])[] | select(length > 1)
  | "\(.[0] | where) is there \(length) times";

def selectors: workloads | where as $where | .spec.template.metadata.labels as $labels
  | .spec.selector.matchLabels | to_entries[]
  | finding($labels[.key] == .value; "\($where): its pods lack the label \(.key)=\(.value) that it looks for");

def volumes: workloads | where as $where | [pod.volumes[].name] as $there | [containers.volumeMounts[]?.name] as $used
  | ($used - $there | .[] | "\($where): no volume \(.) to mount"), ($there - $used | .[] | "\($where): volume \(.) is mounted nowhere");

def paths: workloads | where as $where | containers | .name as $name | [.volumeMounts[]?.mountPath]
  | (group_by(.)[] | select(length > 1) | "\($where) \($name): two mounts at \(.[0])"),
    (. as $all | .[] as $outer | $all[] | select(startswith($outer + "/"))
      | select($outer != "/dev" and $outer != "/tmp")
      | "\($where) \($name): \(.) is below the mount at \($outer), and would be made on the host");

# Sessions live in the network of the process that made them, and so does the target's listener.
def network: workloads | select(on_host) | finding(pod.hostNetwork == true; "\(where) is not on the host's network");

# The image has no host NQN: it is the host's, and nothing here may change it.
def host_nqn: workloads | select(.metadata.name == "nvmeot-node") | . as $node | containers | select(.name == "driver")
  | . as $driver
  | finding([mount($driver; "/etc/nvme") | select(.readOnly) | source($node; .).hostPath.path | select(startswith("/"))]
      | length == 1; "the node does not see its host's /etc/nvme, read-only"),
    finding([mount($driver; "/etc/machine-id") | select(.readOnly) | source($node; .).hostPath.path] == ["/etc/machine-id"];
      "the node does not see its host's /etc/machine-id, read-only"),
    finding(.args | index("--host-nqn-file=/etc/nvme/hostnqn"); "the node reads its host NQN elsewhere");

# A mount that is not shared dies with the container, or is not seen by pods.
def propagation: workloads | select(.metadata.name == "nvmeot-node") | containers | select(.name == "driver")
  | [.volumeMounts[] | select(.mountPropagation == "Bidirectional") | .mountPath] as $shared
  | (.args[] | select(startswith("--state-dir=")) | split("=")[1]) as $state
  | finding($shared | index($state); "mounts in the node's state directory do not outlive it"),
    finding([$shared[] | select(endswith("/plugins") or endswith("/pods"))] | length == 2;
      "staging or target paths are not shared with the host");

def privileges: workloads | where as $where | on_host as $on_host | containers
  | "\($where) \(.name)" as $which | .securityContext as $security
  | finding($security.readOnlyRootFilesystem; "\($which) can write to its image"),
    if $security.privileged then finding($on_host and may_be_privileged; "\($which) is privileged")
    else finding($security.allowPrivilegeEscalation == false; "\($which) can gain privileges"),
      finding($security.capabilities.drop == ["ALL"]; "\($which) keeps capabilities"),
      finding(($security.capabilities.add // []) - (if .name == "modules" then ["SYS_MODULE"] else [] end) == [];
        "\($which) has more capabilities than it needs") end,
    finding(.resources.requests.memory; "\($which) asks for no memory");

def controller: workloads | select(.metadata.name == "nvmeot-controller")
  | finding(pod.securityContext | .runAsNonRoot and .runAsUser > 0 and .seccompProfile.type == "RuntimeDefault";
      "the controller runs as root, or without seccomp"),
    finding([pod.volumes[] | select(.hostPath)] == []; "the controller sees the host"),
    finding(pod.hostNetwork | not; "the controller is on the host's network");

# The token is for the sidecars of the controller alone.
def tokens: workloads | where as $where | (pod
  | finding(.automountServiceAccountToken == false; "\($where): every container gets the token")),
  (containers | finding(([.volumeMounts[]? | select(.mountPath | startswith("/var/run/secrets"))] | length > 0)
      == (.name | startswith("csi-")); "\($where) \(.name): the token is missing, or given away"));

def critical: workloads | finding(pod.priorityClassName; "\(where) has no priority");

def rights: (.[] | select(.kind == "Role" or .kind == "ClusterRole") | where as $where | .kind as $kind | .rules[]
  | finding([.verbs[], .resources[], .apiGroups[]] | index("*") | not; "\($where): a rule with *"),
    finding((.resources | index("secrets") | not) or ($kind == "Role" and (.resourceNames | length > 0) and .verbs == ["get"]);
      "\($where): secrets other than those by name")),
  (.[] | select(.kind == "RoleBinding" or .kind == "ClusterRoleBinding") | where as $where | .subjects
    | finding(. == [{ kind: "ServiceAccount", name: "nvmeot-controller", namespace: "nvmeot-system" }];
        "\($where) gives rights to another account")),
  ([.[] | select(.kind | endswith("Role")) | [.kind, .metadata.name]] as $roles
    | [.[] | select(.kind | endswith("RoleBinding")) | [.roleRef.kind, .roleRef.name]] as $bound
    # The one role is for others to bind.
    | ($roles - $bound - [["ClusterRole", "nvmeot-snapshot-metadata-client"]])[], ($bound - $roles)[] | "\(.[0]) \(.[1]) is not both made and bound");

# The image is for Linux, and all taints are tolerated. A target is bound to a node.
def linux: workloads | finding(pod.nodeSelector | .["kubernetes.io/os"] == "linux" or .["kubernetes.io/hostname"];
  "\(where) may come to a node of another system");

# What the health monitor finds goes into the status of claims.
def health: .[] | select(.kind == "ClusterRole" and .metadata.name == "nvmeot-health-monitor") | .rules
  | finding(any(.resources == ["persistentvolumeclaims/status"] and .verbs == ["patch"]); "the health monitor cannot say what it finds"),
    finding(all(.resources | index("pods") | not); "the health monitor sees all pods");

# Policies are asked with the port of the pod that answers.
def dns: .[] | select(.kind == "NetworkPolicy") | [.spec.egress[].ports[] | select(.protocol == "UDP") | .port]
  | finding(. == [53, 5353]; "the controller is kept from DNS");

def accounts: [.[] | select(.kind == "ServiceAccount") | .metadata.name] as $there | workloads
  | . as $workload | finding($there | index($workload | pod.serviceAccountName); "\(where): no such account");

# Services lead to ports of the controller, and what others are told to call is one of them.
def services: [workloads | select(.metadata.name == "nvmeot-controller") | containers | .ports[]?] as $ports
  | ($ports | group_by(.containerPort)[] | select(length > 1) | "the controller's port \(.[0].containerPort) is taken twice"),
    ([.[] | select(.kind == "Service")] as $services
      | ($services[] | where as $where | .spec.ports[] | .targetPort as $to
          | finding(any($ports[]; .name == $to); "\($where): no port \($to) behind it")),
        (.[] | select(.kind == "SnapshotMetadataService") | .spec
          | finding(.address as $address | any($services[]; "\(.metadata.name).\(.metadata.namespace).svc:\(.spec.ports[0].port)" == $address);
              "no Service at \(.address)"),
            finding(.caCert | @base64d | startswith("-----BEGIN CERTIFICATE-----") or . == "REMOVED"; "the CA of \(.address) is none"))),
    (.[] | select(.kind == "NetworkPolicy") | [.spec.ingress[].ports[].port] as $open | $ports[].containerPort
      | select([.] - $open != []) | "the NetworkPolicy keeps all from port \(.)");

# Pods of one host share its ports: the node's, and those of one target.
def ports: [workloads | select(.metadata.name == "nvmeot-node") | containers | .ports[]?.hostPort] as $node
  | workloads | select(.metadata.name | startswith("nvmeot-target-")) | where as $where
  | [containers | .ports[]?.hostPort] + $node | group_by(.)[] | select(length > 1)
  | "\($where): port \(.[0]) is taken twice on its host";

def driver: finding([.[] | select(.kind == "CSIDriver") | .metadata.name] == ["csi.nvmeot.io"]; "there is no CSIDriver"),
  (.[] | select(.kind == "CSIDriver") | .spec
    | finding(.attachRequired and .fsGroupPolicy == "File" and .podInfoOnMount == false; "the CSIDriver says other than the driver does"));

# A scheduler that is to look at capacities must get some, or nothing is ever scheduled.
def capacity: (.[] | select(.kind == "CSIDriver") | .spec.storageCapacity) as $wanted
  | [workloads | containers | select(.name == "csi-provisioner") | .args | index("--enable-capacity")]
  | finding($wanted == (.[0] != null); "the CSIDriver and the provisioner differ about capacity");

def tls: [.[] | select(.kind == "Secret") | .metadata.name] as $there | [.[] | select(.kind == "Certificate") | .spec.secretName] as $issued
  | [workloads | pod.volumes[] | .secret.secretName // empty] as $used
  | if $there + $issued == [] then empty
    else $used - $there - $issued | .[] | "nothing makes the Secret \(.)" end;

def findings: [identities, selectors, volumes, paths, network, host_nqn, propagation, privileges, controller, tokens,
  critical, linux, health, dns, rights, accounts, services, ports, driver, capacity, tls] | .[];
