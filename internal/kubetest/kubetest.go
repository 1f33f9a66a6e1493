// Package kubetest reads Kubernetes manifests in tests as the API server reads them: into its own types, where a field that
// does not exist, is written twice or has another type is an error. Nothing but tests may import it: the types of Kubernetes
// are no part of the program.
package kubetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubejson "sigs.k8s.io/json"
	kubeyaml "sigs.k8s.io/yaml"
)

// empty returns an empty object of a type that manifests of ours may have, by "apiVersion/kind".
func empty(kind string) (any, error) {
	switch kind {
	case "v1/Pod":
		return new(corev1.Pod), nil
	case "v1/Service":
		return new(corev1.Service), nil
	case "v1/ConfigMap":
		return new(corev1.ConfigMap), nil
	case "v1/Secret":
		return new(corev1.Secret), nil
	case "v1/Namespace":
		return new(corev1.Namespace), nil
	case "v1/ServiceAccount":
		return new(corev1.ServiceAccount), nil
	case "v1/PersistentVolumeClaim":
		return new(corev1.PersistentVolumeClaim), nil
	case "apps/v1/StatefulSet":
		return new(appsv1.StatefulSet), nil
	case "apps/v1/Deployment":
		return new(appsv1.Deployment), nil
	case "batch/v1/Job":
		return new(batchv1.Job), nil
	case "batch/v1/CronJob":
		return new(batchv1.CronJob), nil
	case "policy/v1/PodDisruptionBudget":
		return new(policyv1.PodDisruptionBudget), nil
	case "networking.k8s.io/v1/NetworkPolicy":
		return new(networkingv1.NetworkPolicy), nil
	case "rbac.authorization.k8s.io/v1/Role":
		return new(rbacv1.Role), nil
	case "rbac.authorization.k8s.io/v1/RoleBinding":
		return new(rbacv1.RoleBinding), nil
	}
	return nil, fmt.Errorf("no such kind is known: %s", kind)
}

// Decode reads all documents of a manifest, strictly. The results are pointers to the types of k8s.io/api, in the order of
// the documents; empty documents are left out. A kind that this package does not know is an error.
func Decode(manifest []byte) ([]any, error) {
	var objects []any
	for n, dec := 1, yaml.NewDecoder(bytes.NewReader(manifest)); ; n++ {
		var node yaml.Node
		switch err := dec.Decode(&node); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
			continue
		}
		object, err := decodeNode(&node)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		objects = append(objects, object)
	}
}

// One reads a manifest of exactly one object, which is a T.
func One[T any](manifest []byte) (*T, error) {
	objects, err := Decode(manifest)
	if err != nil {
		return nil, err
	}
	if len(objects) != 1 {
		return nil, fmt.Errorf("%d objects, want one", len(objects))
	}
	object, ok := objects[0].(*T)
	if !ok {
		return nil, fmt.Errorf("it is a %T", objects[0])
	}
	return object, nil
}

func decodeNode(node *yaml.Node) (any, error) {
	text, err := yaml.Marshal(node)
	if err != nil {
		return nil, err
	}
	data, err := kubeyaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	var typed metav1.TypeMeta
	if err := kubejson.UnmarshalCaseSensitivePreserveInts(data, &typed); err != nil {
		return nil, err
	}
	object, err := empty(typed.APIVersion + "/" + typed.Kind)
	if err != nil {
		return nil, err
	}
	strict, err := kubejson.UnmarshalStrict(data, object)
	if err = errors.Join(append(strict, err)...); err != nil {
		return nil, fmt.Errorf("%s: %w", typed.Kind, err)
	}
	return object, nil
}
